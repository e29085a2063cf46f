//! Forward-mode automatic differentiation: a value with its derivatives along `N` directions.
#![allow(clippy::needless_range_loop, reason = "indices are inlined in every build; zipped iterators are not")]

use super::Real;
use std::ops::{Add, Div, Mul, Neg, Sub};

/// A number `value + Σ derivative[i]·εᵢ` with `εᵢεⱼ = 0`. Nested (`Dual<Dual<f64, N>, N>`) it gives
/// second derivatives.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Dual<T, const N: usize> {
    /// The value.
    pub value: T,
    /// Derivatives along each direction.
    pub derivative: [T; N],
}

impl<T: Real, const N: usize> Dual<T, N> {
    /// The variable whose derivative along `direction` is one.
    #[inline]
    pub fn variable(value: T, direction: usize) -> Self {
        let mut dual = Self::lift(value);
        if let Some(slot) = dual.derivative.get_mut(direction) {
            *slot = T::constant(1.0);
        }
        dual
    }

    /// A value with derivatives zero along this level's directions.
    #[inline]
    pub fn lift(value: T) -> Self {
        Self { value, derivative: [T::constant(0.0); N] }
    }

    /// The chain rule: a function's value and its derivative at `self.value`.
    #[inline]
    fn chain(self, value: T, slope: T) -> Self {
        self.each(value, |d| d * slope)
    }

    /// This value, and every derivative through `change`. A loop in place: `array::map` moves the array.
    #[inline]
    fn each(mut self, value: T, change: impl Fn(T) -> T) -> Self {
        self.value = value;
        for slot in &mut self.derivative {
            *slot = change(*slot);
        }
        self
    }
}

macro_rules! termwise {
    ($trait:ident, $method:ident, |$a:ident, $b:ident| $value:expr, |$da:ident, $db:ident| $slope:expr) => {
        impl<T: Real, const N: usize> $trait for Dual<T, N> {
            type Output = Self;
            #[inline]
            fn $method(self, other: Self) -> Self {
                let ($a, $b) = (self.value, other.value);
                let mut derivative = self.derivative;
                for i in 0..N {
                    let ($da, $db) = (derivative[i], other.derivative[i]);
                    derivative[i] = $slope;
                }
                Self { value: $value, derivative }
            }
        }
    };
}

termwise!(Add, add, |a, b| a + b, |da, db| da + db);
termwise!(Sub, sub, |a, b| a - b, |da, db| da - db);
termwise!(Mul, mul, |a, b| a * b, |da, db| da * b + db * a);

impl<T: Real, const N: usize> Div for Dual<T, N> {
    type Output = Self;
    #[inline]
    fn div(self, other: Self) -> Self {
        let quotient = self.value / other.value;
        let inverse = T::constant(1.0) / other.value;
        let mut derivative = self.derivative;
        for i in 0..N {
            derivative[i] = (derivative[i] - other.derivative[i] * quotient) * inverse;
        }
        Self { value: quotient, derivative }
    }
}

impl<T: Real, const N: usize> Neg for Dual<T, N> {
    type Output = Self;
    #[inline]
    fn neg(self) -> Self {
        self.each(-self.value, |d| -d)
    }
}

impl<T: Real, const N: usize> Add<f64> for Dual<T, N> {
    type Output = Self;
    #[inline]
    fn add(self, other: f64) -> Self {
        Self { value: self.value + other, ..self }
    }
}

impl<T: Real, const N: usize> Sub<f64> for Dual<T, N> {
    type Output = Self;
    #[inline]
    fn sub(self, other: f64) -> Self {
        Self { value: self.value - other, ..self }
    }
}

impl<T: Real, const N: usize> Mul<f64> for Dual<T, N> {
    type Output = Self;
    #[inline]
    fn mul(self, other: f64) -> Self {
        self.each(self.value * other, |d| d * other)
    }
}

impl<T: Real, const N: usize> Div<f64> for Dual<T, N> {
    type Output = Self;
    #[inline]
    fn div(self, other: f64) -> Self {
        self.each(self.value / other, |d| d / other)
    }
}

impl<T: Real, const N: usize> Real for Dual<T, N> {
    #[inline]
    fn constant(value: f64) -> Self {
        Self::lift(T::constant(value))
    }
    #[inline]
    fn value(self) -> f64 {
        self.value.value()
    }
    #[inline]
    fn exp(self) -> Self {
        let value = self.value.exp();
        self.chain(value, value)
    }
    #[inline]
    fn ln(self) -> Self {
        self.chain(self.value.ln(), T::constant(1.0) / self.value)
    }
    #[inline]
    fn ln_1p(self) -> Self {
        self.chain(self.value.ln_1p(), T::constant(1.0) / (self.value + 1.0))
    }
    #[inline]
    fn sqrt(self) -> Self {
        let root = self.value.sqrt();
        self.chain(root, T::constant(0.5) / root)
    }
    #[inline]
    fn sin(self) -> Self {
        self.chain(self.value.sin(), self.value.cos())
    }
    #[inline]
    fn cos(self) -> Self {
        self.chain(self.value.cos(), -self.value.sin())
    }
    #[inline]
    fn atan(self) -> Self {
        self.chain(self.value.atan(), T::constant(1.0) / (self.value * self.value + 1.0))
    }
    #[inline]
    fn tanh(self) -> Self {
        let value = self.value.tanh();
        self.chain(value, -(value * value) + 1.0)
    }
    #[inline]
    fn abs(self) -> Self {
        if self.value() < 0.0 { -self } else { self }
    }
    #[inline]
    fn powi(self, exponent: i32) -> Self {
        match exponent {
            0 => Self::constant(1.0),
            1 => self,
            _ => self.chain(self.value.powi(exponent), self.value.powi(exponent - 1) * f64::from(exponent)),
        }
    }
    #[inline]
    fn powf(self, exponent: f64) -> Self {
        if exponent == 0.0 {
            return Self::constant(1.0);
        }
        let value = self.value.powf(exponent);
        // One power and a division cost less than two powers.
        let slope = if self.value() == 0.0 { self.value.powf(exponent - 1.0) } else { value / self.value };
        self.chain(value, slope * exponent)
    }
    #[inline]
    fn pow(self, exponent: Self) -> Self {
        let value = self.value.pow(exponent.value);
        // 0^y with y > 0 stays 0 when y moves; ln 0 would make that NaN.
        let (by_base, by_exponent) = if self.value() == 0.0 {
            (exponent.value * self.value.pow(exponent.value - 1.0), T::constant(0.0))
        } else {
            (exponent.value * value / self.value, value * self.value.ln())
        };
        let mut derivative = self.derivative;
        for i in 0..N {
            derivative[i] = derivative[i] * by_base + exponent.derivative[i] * by_exponent;
        }
        Self { value, derivative }
    }
}
