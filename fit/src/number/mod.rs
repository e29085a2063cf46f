//! The numbers a model is written over: plain `f64`, or numbers that carry derivatives.

mod dual;

pub use dual::Dual;

use std::fmt::Debug;
use std::ops::{Add, Div, Mul, Neg, Sub};

/// A real number with the functions that models need. A model written once over `T: Real` gives
/// values with `T = f64` and derivatives with `T = Dual<..>`.
pub trait Real:
    Copy
    + Debug
    + Add<Output = Self>
    + Sub<Output = Self>
    + Mul<Output = Self>
    + Div<Output = Self>
    + Neg<Output = Self>
    + Add<f64, Output = Self>
    + Sub<f64, Output = Self>
    + Mul<f64, Output = Self>
    + Div<f64, Output = Self>
{
    /// A constant: its derivatives are zero.
    fn constant(value: f64) -> Self;
    /// The value without derivatives.
    fn value(self) -> f64;
    /// e to this power.
    fn exp(self) -> Self;
    /// Natural logarithm.
    fn ln(self) -> Self;
    /// ln(1 + self), accurate near zero.
    fn ln_1p(self) -> Self;
    /// Square root.
    fn sqrt(self) -> Self;
    /// Sine.
    fn sin(self) -> Self;
    /// Cosine.
    fn cos(self) -> Self;
    /// Arc tangent.
    fn atan(self) -> Self;
    /// Hyperbolic tangent.
    fn tanh(self) -> Self;
    /// Absolute value; the derivative at zero is that of the identity.
    fn abs(self) -> Self;
    /// Integer power.
    fn powi(self, exponent: i32) -> Self;
    /// Constant real power.
    fn powf(self, exponent: f64) -> Self;
    /// Real power whose exponent may carry derivatives too.
    fn pow(self, exponent: Self) -> Self;

    /// The larger of two, derivatives included.
    fn max(self, other: Self) -> Self {
        if other.value() > self.value() { other } else { self }
    }

    /// ln(e^self + e^other) without overflow.
    fn log_add_exp(self, other: Self) -> Self {
        let (high, low) = if self.value() >= other.value() { (self, other) } else { (other, self) };
        if high.value() == f64::NEG_INFINITY {
            return high;
        }
        high + (low - high).exp().ln_1p()
    }
}

impl Real for f64 {
    #[inline]
    fn constant(value: f64) -> Self {
        value
    }
    #[inline]
    fn value(self) -> f64 {
        self
    }
    #[inline]
    fn exp(self) -> Self {
        f64::exp(self)
    }
    #[inline]
    fn ln(self) -> Self {
        f64::ln(self)
    }
    #[inline]
    fn ln_1p(self) -> Self {
        f64::ln_1p(self)
    }
    #[inline]
    fn sqrt(self) -> Self {
        f64::sqrt(self)
    }
    #[inline]
    fn sin(self) -> Self {
        f64::sin(self)
    }
    #[inline]
    fn cos(self) -> Self {
        f64::cos(self)
    }
    #[inline]
    fn atan(self) -> Self {
        f64::atan(self)
    }
    #[inline]
    fn tanh(self) -> Self {
        f64::tanh(self)
    }
    #[inline]
    fn abs(self) -> Self {
        f64::abs(self)
    }
    #[inline]
    fn powi(self, exponent: i32) -> Self {
        f64::powi(self, exponent)
    }
    #[inline]
    fn powf(self, exponent: f64) -> Self {
        f64::powf(self, exponent)
    }
    #[inline]
    fn pow(self, exponent: Self) -> Self {
        f64::powf(self, exponent)
    }
}
