//! What is done with one row of scores. Sums run in a fixed number of lanes, which the compiler turns into vectors.

use crate::device::cpu::float::Float;

const LANES: usize = 32;

#[inline(always)]
fn fold<T: Float>(row: &[T], start: T, with: impl Fn(T, T) -> T) -> T {
    let mut lanes = [start; LANES];
    let chunks = row.chunks_exact(LANES);
    let rest = chunks.remainder();
    for chunk in chunks {
        for (lane, &x) in lanes.iter_mut().zip(chunk) {
            *lane = with(*lane, x);
        }
    }
    for (lane, &x) in lanes.iter_mut().zip(rest) {
        *lane = with(*lane, x);
    }
    lanes.into_iter().fold(start, with)
}

/// Replaces the row's scores by exp(score − largest) and gives the largest and the sum. The row is not empty.
#[inline(always)]
pub(super) fn softmax<T: Float>(row: &mut [T]) -> (T, T) {
    let most = fold(row, row[0], |a, b| a.max(b));
    for x in row.iter_mut() {
        *x = (*x - most).exp();
    }
    (most, fold(row, T::ZERO, |a, b| a + b))
}

/// Replaces scores by p = exp(score − m) / z and d_p by ds = p (d_p − delta) scale.
#[inline(always)]
pub(super) fn d_softmax<T: Float>(scores: &mut [T], d_p: &mut [T], [most, sum]: [T; 2], delta: T, scale: T) {
    let inverse = T::ONE / sum;
    for (score, d_p) in scores.iter_mut().zip(d_p) {
        let p = (*score - most).min(T::ZERO).exp() * inverse;
        *score = p;
        *d_p = p * (*d_p - delta) * scale;
    }
}

/// Σ a b.
#[inline(always)]
pub(super) fn dot<T: Float>(a: &[T], b: &[T]) -> T {
    let mut sum = T::ZERO;
    for (&a, &b) in a.iter().zip(b) {
        sum += a * b;
    }
    sum
}
