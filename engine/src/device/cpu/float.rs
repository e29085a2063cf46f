//! The floats that the CPU computes in, and their elementary functions.
//!
//! `f32`'s functions are branch-free polynomials, so that loops over them are vectorised: wrap such a loop in
//! [`vectorized`], which compiles it for the widest vectors and picks the right version when it runs. `f64`, which serves
//! checks, takes the exact functions of the standard library.

use std::ops::{Add, AddAssign, Div, Mul, MulAssign, Neg, Sub, SubAssign};

use crate::dtype::Element;

/// Runs `body` compiled for the widest vectors that this processor has. `body` and all it calls must be
/// `#[inline(always)]` or closures for the loops inside to profit.
#[inline]
pub fn vectorized<R>(body: impl FnOnce() -> R) -> R {
    pulp::Arch::new().dispatch(body)
}

/// A float type of the CPU: `f32` or `f64`.
pub trait Float:
    Element
    + Copy
    + PartialOrd
    + Add<Output = Self>
    + Sub<Output = Self>
    + Mul<Output = Self>
    + Div<Output = Self>
    + Neg<Output = Self>
    + AddAssign
    + SubAssign
    + MulAssign
    + std::iter::Sum
{
    /// Zero.
    const ZERO: Self;
    /// One.
    const ONE: Self;
    /// The nearest value to `value`.
    fn from_f64(value: f64) -> Self;
    /// This value as f64.
    fn to_f64(self) -> f64;
    /// e^x, 0 for large negative x and infinity for large positive.
    fn exp(self) -> Self;
    /// Natural logarithm.
    fn ln(self) -> Self;
    /// √x.
    fn sqrt(self) -> Self;
    /// |x|.
    fn abs(self) -> Self;
    /// Hyperbolic tangent.
    fn tanh(self) -> Self;
    /// The larger of the two; this one if the other is not a number.
    fn max(self, other: Self) -> Self;
    /// The smaller of the two; this one if the other is not a number.
    fn min(self, other: Self) -> Self;
    /// ln(1 + x) for 0 ≤ x ≤ 1, accurate near 0.
    fn ln_1p_unit(self) -> Self;

    /// σ(x) = 1 / (1 + e^−x), from e^−|x| so that nothing overflows.
    #[inline(always)]
    fn sigmoid(self) -> Self {
        let e = (-self.abs()).exp();
        (if self < Self::ZERO { e } else { Self::ONE }) / (Self::ONE + e)
    }

    /// ln σ(x) = min(x, 0) − ln(1 + e^−|x|), accurate for large x, where e^−x must not be rounded away.
    #[inline(always)]
    fn log_sigmoid(self) -> Self {
        self.min(Self::ZERO) - (-self.abs()).exp().ln_1p_unit()
    }

    /// Whether the value is neither infinite nor not a number.
    #[inline(always)]
    fn is_finite(self) -> bool {
        self.to_f64().is_finite()
    }
}

impl Float for f64 {
    const ZERO: Self = 0.0;
    const ONE: Self = 1.0;
    #[inline(always)]
    fn from_f64(value: f64) -> Self {
        value
    }
    #[inline(always)]
    fn to_f64(self) -> f64 {
        self
    }
    #[inline(always)]
    fn exp(self) -> Self {
        f64::exp(self)
    }
    #[inline(always)]
    fn ln(self) -> Self {
        f64::ln(self)
    }
    #[inline(always)]
    fn sqrt(self) -> Self {
        f64::sqrt(self)
    }
    #[inline(always)]
    fn abs(self) -> Self {
        f64::abs(self)
    }
    #[inline(always)]
    fn tanh(self) -> Self {
        f64::tanh(self)
    }
    #[inline(always)]
    fn max(self, other: Self) -> Self {
        if other > self { other } else { self }
    }
    #[inline(always)]
    fn min(self, other: Self) -> Self {
        if other < self { other } else { self }
    }
    #[inline(always)]
    fn ln_1p_unit(self) -> Self {
        f64::ln_1p(self)
    }
}

impl Float for f32 {
    const ZERO: Self = 0.0;
    const ONE: Self = 1.0;
    #[inline(always)]
    fn from_f64(value: f64) -> Self {
        value as f32
    }
    #[inline(always)]
    fn to_f64(self) -> f64 {
        f64::from(self)
    }

    /// x = k·ln 2 + r with |r| ≤ ln 2 / 2, e^r by its Taylor polynomial of degree 7 (error under 1e-8), 2^k by the
    /// exponent's bits in two halves, so that results down to the smallest normal number are reached.
    #[inline(always)]
    fn exp(self) -> Self {
        const ROUND: f32 = 12_582_912.0; // 1.5 · 2^23: adding and subtracting it rounds to an integer
        let x = Float::min(Float::max(self, -104.0), 89.0);
        let k = (x * std::f32::consts::LOG2_E + ROUND) - ROUND;
        let r = (x - k * 0.693_359_4) + k * 2.121_944_4e-4; // ln 2 in two parts
        let mut p = 1.0 / 5040.0;
        p = p * r + 1.0 / 720.0;
        p = p * r + 1.0 / 120.0;
        p = p * r + 1.0 / 24.0;
        p = p * r + 1.0 / 6.0;
        p = p * r + 0.5;
        p = p * r + 1.0;
        p = p * r + 1.0;
        let k = k as i32;
        let half = k >> 1;
        let power = |exponent: i32| f32::from_bits(((exponent + 127) << 23) as u32);
        let result = p * power(half) * power(k - half);
        if self.is_nan() { self } else { result }
    }

    #[inline(always)]
    fn ln(self) -> Self {
        f32::ln(self)
    }
    #[inline(always)]
    fn sqrt(self) -> Self {
        f32::sqrt(self)
    }
    #[inline(always)]
    fn abs(self) -> Self {
        f32::abs(self)
    }

    /// Near 0, where (1 − e)/(1 + e) would cancel, the continued fraction of tanh; elsewhere from e = e^−2|x|.
    #[inline(always)]
    fn tanh(self) -> Self {
        let magnitude = Float::abs(self);
        let square = magnitude * magnitude;
        let near = magnitude
            * ((10395.0 + square * (1260.0 + square * 21.0))
                / (10395.0 + square * (4725.0 + square * (210.0 + square))));
        let e = Float::exp(-2.0 * magnitude);
        let far = (1.0 - e) / (1.0 + e);
        let result = if magnitude < 0.625 { near } else { far };
        if self.is_nan() { self } else { f32::copysign(result, self) }
    }

    #[inline(always)]
    fn max(self, other: Self) -> Self {
        if other > self { other } else { self }
    }
    #[inline(always)]
    fn min(self, other: Self) -> Self {
        if other < self { other } else { self }
    }

    /// 2·atanh(x / (2 + x)) as a series in z = x / (2 + x) ≤ 1/3.
    #[inline(always)]
    fn ln_1p_unit(self) -> Self {
        let z = self / (2.0 + self);
        let square = z * z;
        let mut sum = 1.0 / 15.0;
        for odd in [13.0, 11.0, 9.0, 7.0, 5.0, 3.0] {
            sum = sum * square + 1.0 / odd;
        }
        2.0 * (z + z * square * sum)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sweep() -> impl Iterator<Item = f32> {
        let magnitudes = (-300..=300).map(|i| 10f32.powf(i as f32 / 8.0));
        magnitudes.flat_map(|x| [x, -x]).chain((-20_000..20_000).map(|i| i as f32 * 0.005)).chain([0.0, -0.0])
    }

    #[test]
    fn functions_are_within_a_few_ulp_and_never_nan() {
        let ulp = |value: f64| f64::from(f32::EPSILON) * value.abs().max(f64::from(f32::MIN_POSITIVE));
        for x in sweep() {
            let wide = f64::from(x);
            let check = |name: &str, got: f32, exact: f64, ulps: f64| {
                if exact.abs() > f64::from(f32::MAX) {
                    assert!(got.is_infinite(), "{name}({x}) = {got}, exact {exact}");
                } else {
                    assert!((f64::from(got) - exact).abs() <= ulps * ulp(exact), "{name}({x}) = {got}, exact {exact}");
                }
            };
            check("exp", Float::exp(x), wide.exp(), 2.0);
            check("tanh", Float::tanh(x), wide.tanh(), 3.0);
            check("sigmoid", x.sigmoid(), 1.0 / (1.0 + (-wide).exp()), 4.0);
            check("log_sigmoid", x.log_sigmoid(), wide.min(0.0) - (-wide.abs()).exp().ln_1p(), 4.0);
        }
        assert!(Float::exp(f32::NAN).is_nan() && Float::tanh(f32::NAN).is_nan());
    }
}
