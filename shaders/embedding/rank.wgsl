// A stable sort of positions by id, the first of three kernels of the embedding's backward (rank, starts, backward).
//
// rank(i) = #{j : ids[j] < ids[i]} + #{j < i : ids[j] = ids[i]} is i's place in sorted order; sorted[rank(i)] = (ids[i], i).
// Ranks are all different, so each place is written once: no atomics, and the same order in every run.
//
// ids: count of them; sorted: [count] pairs. One invocation ranks one position. The ids pass through workgroup memory 1,024
// at a time, read as vectors of four. Comparing all with all costs count²: for 8,192 tokens 67 million comparisons, some
// tens of microseconds on a large GPU, and far less than the passes over memory of a radix sort up to about 65,536 tokens.

const LANES: u32 = 256u;
const NOTHING: u32 = 0xffffffffu;  // fills the last tile; such places are no position's, see below

struct Parameters {
    count: u32,
}

@group(0) @binding(0) var<uniform> parameters: Parameters;
@group(0) @binding(1) var<storage, read> ids: array<u32>;
@group(0) @binding(2) var<storage, read_write> sorted: array<vec2<u32>>;

var<workgroup> tile: array<vec4<u32>, LANES>;

fn id_at(place: u32) -> u32 {
    if place < parameters.count {
        return ids[place];
    }
    return NOTHING;
}

@compute @workgroup_size(256)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let position = flat_workgroup(group, groups) * LANES + lane;
    let own = id_at(position);
    var rank = 0u;
    for (var first = 0u; first < parameters.count; first += 4u * LANES) {
        let begin = first + 4u * lane;
        tile[lane] = vec4<u32>(id_at(begin), id_at(begin + 1u), id_at(begin + 2u), id_at(begin + 3u));
        workgroupBarrier();  // the tile is complete before it is compared
        for (var four = 0u; four < LANES; four++) {
            let others = tile[four];
            let places = first + 4u * four + vec4<u32>(0u, 1u, 2u, 3u);
            // NOTHING is never less than an id, and where an id equals it, its place is behind all positions.
            let before = (others < vec4<u32>(own))
                | ((others == vec4<u32>(own)) & (places < vec4<u32>(position)));
            let ones = select(vec4<u32>(0u), vec4<u32>(1u), before);
            rank += ones.x + ones.y + ones.z + ones.w;
        }
        workgroupBarrier();  // everyone is done with the tile before the next is loaded
    }
    if position < parameters.count {
        sorted[rank] = vec2<u32>(own, position);
    }
}
