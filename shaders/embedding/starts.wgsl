// Where each id's positions start in sorted order: starts[v] = #{i : ids[i] < v} for v = 0 .. vocabulary.
//
// sorted: [count] pairs (id, position), ascending; starts: [vocabulary + 1]. One invocation computes one start, by binary
// search. Ids that are not below the vocabulary lie behind the last start and belong to no row.

struct Parameters {
    count: u32,
    vocabulary: u32,
}

@group(0) @binding(0) var<uniform> parameters: Parameters;
@group(0) @binding(1) var<storage, read> sorted: array<vec2<u32>>;
@group(0) @binding(2) var<storage, read_write> starts: array<u32>;

@compute @workgroup_size(256)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let id = flat_workgroup(group, groups) * 256u + lane;
    if id > parameters.vocabulary {
        return;
    }
    var low = 0u;
    var high = parameters.count;
    while low < high {
        let middle = low + (high - low) / 2u;
        if sorted[middle].x < id {
            low = middle + 1u;
        } else {
            high = middle;
        }
    }
    starts[id] = low;
}
