// A first key beyond the query's own last one leaves it nothing to see. The host cannot know beforehand: it is reported in
// the fault record, at the binding behind that of the first keys, and the query's row is made not a number.

@group(0) @binding(FIRST_KEYS + 1u) var<storage, read_write> faults: array<atomic<u32>>;

fn report_first_key(key: u32, limit: u32) {
    report_index(parameters.operation, key, limit);
}
