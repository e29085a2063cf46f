//! Attention by tiles is attention: head_dim 16 to 256, lengths up to 1,025, grouped heads, logits at ±80 and more. Each
//! element is held to the bound that the definition gives it. `GRADUS_CASES` sets how many cases are drawn besides.

use super::*;

fn drawn() -> u64 {
    std::env::var("GRADUS_CASES").ok().and_then(|value| value.parse().ok()).unwrap_or(4)
}

/// Batch, queries, keys, heads, kv heads, head_dim, and the deviation of query and key, the square of which is that of the
/// logits.
type Sizes = ([usize; 6], f64);

fn case(seed: u64, ([batch, queries, keys, heads, kv_heads, head_dim], deviation): Sizes, documents: bool) -> Case {
    let inputs = inputs(seed, [batch, queries, heads, head_dim], keys, kv_heads, deviation);
    if !documents {
        return plain(inputs);
    }
    let first_key = cases::first_key(&mut Draw::new(seed, 0), [batch, queries], keys - queries);
    with_documents(AttentionOptions::default(), inputs, first_key)
}

fn check(seed: u64, sizes: Sizes, documents: bool) {
    let case = case(seed, sizes, documents);
    for device in devices() {
        let share = share(&case, &device, seed);
        assert!(share <= 1.0, "{share} of the bound for {} on {device:?}", case.describe());
    }
}

#[test]
fn tiles_of_every_head_dim() {
    for (seed, head_dim) in (0..).zip([1, 7, 16, 31, 33, 64, 80, 96, 128, 160, 250, 256]) {
        check(seed, ([1, 65, 70, 2, 1, head_dim], 1.0), seed % 2 == 1);
    }
}

#[test]
fn lengths_around_the_tiles() {
    for (seed, length) in (0..).zip([1, 2, 13, 31, 32, 33, 63, 64, 65, 101, 197]) {
        check(seed, ([1, length, length, 3, 1, 16], 1.0), seed % 2 == 0);
    }
    check(20, ([1, 1025, 1025, 1, 1, 16], 1.0), false);
    check(21, ([1, 1025, 1025, 1, 1, 16], 1.0), true);
}

#[test]
fn logits_at_eighty_and_beyond() {
    for (seed, deviation) in (0..).zip([4.5, 9.0, 30.0, 100.0]) {
        check(seed, ([1, 130, 140, 2, 1, 64], deviation), seed % 2 == 1);
        check(seed, ([1, 1, 300, 2, 1, 80], deviation), seed % 2 == 1);
    }
}

#[test]
fn single_queries_over_many_keys() {
    for (seed, (keys, head_dim)) in (0..).zip([(13, 32), (64, 256), (300, 7), (1025, 80)]) {
        check(seed, ([1, 1, keys, 4, 2, head_dim], 1.0), seed % 2 == 1);
    }
    // More than one chunk a part.
    check(5, ([1, 1, 4200, 1, 1, 16], 1.0), true);
}

#[test]
fn drawn_sizes() {
    for seed in 1000..1000 + drawn() {
        let mut draw = Draw::new(seed, 0);
        let head_dim = draw.choose(&[16, 32, 48, 64, 80, 96, 100, 128, 160, 192, 255, 256]);
        let length = draw.number(1..=1025).min(draw.number(1..=40_000 / head_dim));
        let keys = if draw.coin() { length } else { length + draw.number(1..=100) };
        let (kv_heads, group) = (draw.number(1..=2), draw.number(1..=3));
        let deviation = if length >= 8 { draw.choose(&[0.5, 1.0, 4.5, 9.0]) } else { 1.0 };
        check(seed, ([1, length, keys, kv_heads * group, kv_heads, head_dim], deviation), draw.coin());
    }
}
