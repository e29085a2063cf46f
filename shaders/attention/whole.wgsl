// Every query sees the keys from the first on.

const DOCUMENTS: u32 = 0u;

fn first_key_of(batch: u32, query: u32) -> u32 {
    return 0u;
}

fn least_first_key(batch: u32, first: u32, count: u32) -> u32 {
    return 0u;
}

fn report_first_key(key: u32, limit: u32) {}
