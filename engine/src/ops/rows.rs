//! Sums and maxima over one row on the CPU: vectorised, and in an order that depends on the row's length alone.

use crate::device::cpu::float::Float;

/// Partial sums a row: enough for four of the widest vectors of f32.
const PARTS: usize = 32;

#[inline(always)]
fn add_up<T: Float>(mut parts: [T; PARTS]) -> T {
    let mut half = PARTS / 2;
    while half > 0 {
        for at in 0..half {
            parts[at] += parts[at + half];
        }
        half /= 2;
    }
    parts[0]
}

/// Σ term(x\[i\]).
#[inline(always)]
pub(crate) fn sum<T: Float>(x: &[T], term: impl Fn(T) -> T) -> T {
    let mut parts = [T::ZERO; PARTS];
    let chunks = x.chunks_exact(PARTS);
    let rest = chunks.remainder();
    for x in chunks {
        for at in 0..PARTS {
            parts[at] += term(x[at]);
        }
    }
    for (part, &x) in parts.iter_mut().zip(rest) {
        *part += term(x);
    }
    add_up(parts)
}

/// Σ term(x\[i\], y\[i\]) over two rows of equal length.
#[inline(always)]
pub(crate) fn sum2<T: Float>(x: &[T], y: &[T], term: impl Fn(T, T) -> T) -> T {
    let mut parts = [T::ZERO; PARTS];
    let (xs, ys) = (x.chunks_exact(PARTS), y.chunks_exact(PARTS));
    let rest = xs.remainder().iter().zip(ys.remainder());
    for (x, y) in xs.zip(ys) {
        for at in 0..PARTS {
            parts[at] += term(x[at], y[at]);
        }
    }
    for (part, (&x, &y)) in parts.iter_mut().zip(rest) {
        *part += term(x, y);
    }
    add_up(parts)
}

/// Σ term(x\[i\], y\[i\], z\[i\]) over three rows of equal length.
#[inline(always)]
pub(crate) fn sum3<T: Float>(x: &[T], y: &[T], z: &[T], term: impl Fn(T, T, T) -> T) -> T {
    let mut parts = [T::ZERO; PARTS];
    let (xs, ys, zs) = (x.chunks_exact(PARTS), y.chunks_exact(PARTS), z.chunks_exact(PARTS));
    let rest = xs.remainder().iter().zip(ys.remainder()).zip(zs.remainder());
    for ((x, y), z) in xs.zip(ys).zip(zs) {
        for at in 0..PARTS {
            parts[at] += term(x[at], y[at], z[at]);
        }
    }
    for (part, ((&x, &y), &z)) in parts.iter_mut().zip(rest) {
        *part += term(x, y, z);
    }
    add_up(parts)
}

/// The largest element; the lowest number there is for an empty row.
#[inline(always)]
pub(crate) fn highest<T: Float>(x: &[T]) -> T {
    let mut parts = [T::from_f64(-f64::from(f32::MAX)); PARTS];
    let chunks = x.chunks_exact(PARTS);
    let rest = chunks.remainder();
    for x in chunks {
        for at in 0..PARTS {
            parts[at] = parts[at].max(x[at]);
        }
    }
    for (part, &x) in parts.iter_mut().zip(rest) {
        *part = part.max(x);
    }
    parts.into_iter().fold(parts[0], |most, part| most.max(part))
}
