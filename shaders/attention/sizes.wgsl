// The sizes of an attention, and where rows lie.
//
// query, output: [batch, queries, heads, D]; key, value: [batch, capacity, kv_heads, D], of which the first `keys` rows
// are used; rows of normalizers and terms: [batch, heads, queries]. Query t sees the keys first_key[t] <= j <= t + offset;
// without documents first_key is 0.

struct Parameters {
    queries: u32,
    keys: u32,
    capacity: u32,
    heads: u32,
    kv_heads: u32,
    group: u32,  // heads / kv_heads
    head_dim: u32,
    offset: u32,  // keys - queries
    scale: f32,  // 1 / sqrt(D)
    batch_heads: u32,  // batch * heads, in the kernel of keys batch * kv_heads
    tiles: u32,  // tiles of rows a head; in the step kernels parts of the keys
    part_keys: u32,  // in the step kernels, keys a part: a multiple of 64
    operation: u32,  // in the fault record
    not_a_number: u32,  // the bits of what a row that sees no key gets
}

@group(0) @binding(0) var<uniform> parameters: Parameters;

// The place of a query row's first element.
fn query_place(batch: u32, row: u32, head: u32) -> u32 {
    return ((batch * parameters.queries + row) * parameters.heads + head) * parameters.head_dim;
}

// The place of a key row's first element.
fn key_place(batch: u32, row: u32, kv_head: u32) -> u32 {
    return ((batch * parameters.capacity + row) * parameters.kv_heads + kv_head) * parameters.head_dim;
}
