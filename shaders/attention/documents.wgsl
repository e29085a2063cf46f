// Documents follow each other in a sequence: each query has a first key of its own. FIRST_KEYS is the binding.

const DOCUMENTS: u32 = 1u;

@group(0) @binding(FIRST_KEYS) var<storage, read> first_keys: array<u32>;  // [batch, queries]

fn first_key_of(batch: u32, query: u32) -> u32 {
    return first_keys[batch * parameters.queries + query];
}

// The first key that any of `count` queries from `first` on sees.
fn least_first_key(batch: u32, first: u32, count: u32) -> u32 {
    var least = parameters.keys;
    for (var query = first; query < first + count; query++) {
        least = min(least, first_key_of(batch, query));
    }
    return least;
}
