// Philox4x32-10, a counter-based random generator: four random words from a counter of four words and a key of two. The
// same counter and key give the same words, whoever asks and when.
//
// Salmon, Moraes, Dror, Shaw: Parallel random numbers: as easy as 1, 2, 3 (SC 2011). Its twin in Rust is
// engine/src/ops/dropout/philox.rs.

const PHILOX_MULTIPLIERS = vec2<u32>(0xd2511f53u, 0xcd9e8d57u);
const PHILOX_KEY_STEPS = vec2<u32>(0x9e3779b9u, 0xbb67ae85u);
const PHILOX_ROUNDS: u32 = 10u;

// The upper words of the 64-bit products a · b, from products of half words, each of which fits 32 bits.
fn multiply_high(a: vec2<u32>, b: vec2<u32>) -> vec2<u32> {
    let half = vec2<u32>(16u);
    let mask = vec2<u32>(0xffffu);
    let low = (a & mask) * (b & mask);
    let first = (a >> half) * (b & mask) + (low >> half);
    let second = (a & mask) * (b >> half) + (first & mask);
    return (a >> half) * (b >> half) + (first >> half) + (second >> half);
}

fn philox(counter: vec4<u32>, key: vec2<u32>) -> vec4<u32> {
    var words = counter;
    var round_key = key;
    for (var round = 0u; round < PHILOX_ROUNDS; round++) {
        let upper = multiply_high(PHILOX_MULTIPLIERS, words.xz);
        let lower = PHILOX_MULTIPLIERS * words.xz;
        words = vec4<u32>(upper.y ^ words.y ^ round_key.x, lower.y, upper.x ^ words.w ^ round_key.y, lower.x);
        round_key += PHILOX_KEY_STEPS;
    }
    return words;
}
