// What the host cannot see before a kernel runs: an index out of range. The first one is kept in the device's fault record
// and becomes an error at the next read-back: (operation, index, limit, -), operation 0 where nothing is wrong. The kernel
// declares the record as `var<storage, read_write> faults: array<atomic<u32>>` at a binding of its own.

fn report_index(operation: u32, index: u32, limit: u32) {
    // Whoever is first to name its operation writes the rest.
    if atomicMax(&faults[3], 1u) == 0u {
        atomicStore(&faults[1], index);
        atomicStore(&faults[2], limit);
        atomicStore(&faults[0], operation);
    }
}
