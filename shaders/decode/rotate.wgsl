// Queries and keys of one position are turned by the rotary embedding; keys and values go into the cache, as f16.
//
// projection: [batch, (heads + 2 kv_heads) D], queries, keys, values; D a multiple of 8; tables: [positions, D], cosines, then
// sines; position: one number; key, value: f16 [batch, capacity, kv_heads, D]. The pair (j, j + D/2) is turned by angle j:
// (a, b) -> (a cos - b sin, b cos + a sin). One invocation takes the elements j, j + 1 and their partners, of one head of one
// text: f16 are stored by pairs of neighbours. Queries stay in the projection.

struct Parameters {
    count: u32,     // batch (heads + 2 kv_heads) D / 4
    heads: u32,
    kv_heads: u32,
    head_dim: u32,
    capacity: u32,
}

@group(0) @binding(0) var<uniform> parameters: Parameters;
@group(0) @binding(1) var<storage, read_write> projection: array<f32>;
@group(0) @binding(2) var<storage, read> tables: array<f32>;
@group(0) @binding(3) var<storage, read> position: array<u32>;
@group(0) @binding(4) var<storage, read_write> key: array<u32>;
@group(0) @binding(5) var<storage, read_write> value: array<u32>;

@compute @workgroup_size(64)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let index = flat_workgroup(group, groups) * 64u + lane;
    if index >= parameters.count {
        return;
    }
    let quarter = parameters.head_dim / 4u;
    let half = parameters.head_dim / 2u;
    let all_heads = parameters.heads + 2u * parameters.kv_heads;
    let j = index % quarter * 2u;
    let head = index / quarter % all_heads;
    let text = index / quarter / all_heads;
    let place = (text * all_heads + head) * parameters.head_dim + j;
    let here = position[0];
    var a = vec2<f32>(projection[place], projection[place + 1u]);
    var b = vec2<f32>(projection[place + half], projection[place + half + 1u]);
    if head < parameters.heads + parameters.kv_heads {
        let angle = here * parameters.head_dim + j;
        let cosine = vec2<f32>(tables[angle], tables[angle + 1u]);
        let sine = vec2<f32>(tables[angle + half], tables[angle + half + 1u]);
        let turned = a * cosine - b * sine;
        b = b * cosine + a * sine;
        a = turned;
    }
    if head < parameters.heads {
        projection[place] = a.x;
        projection[place + 1u] = a.y;
        projection[place + half] = b.x;
        projection[place + half + 1u] = b.y;
        return;
    }
    let kv_head = (head - parameters.heads) % parameters.kv_heads;
    let row = (text * parameters.capacity + min(here, parameters.capacity - 1u)) * parameters.kv_heads + kv_head;
    let cached = (row * parameters.head_dim + j) / 2u;
    if head < parameters.heads + parameters.kv_heads {
        key[cached] = pack2x16float(a);
        key[cached + half / 2u] = pack2x16float(b);
    } else {
        value[cached] = pack2x16float(a);
        value[cached + half / 2u] = pack2x16float(b);
    }
}
