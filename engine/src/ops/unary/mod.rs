//! Elementwise functions of one input.
//!
//! | y | dy/dx |
//! |---|---|
//! | σ(x) = 1 / (1 + e^−x) | σ(x) · σ(−x) = e / (1 + e)², e = e^−|x| |
//! | c · tanh(x / c) | 1 − tanh²(x / c) = 4e / (1 + e)², e = e^−2|x / c| |
//! | tanh x | 1 − tanh² x, likewise |
//! | e^x | y |
//! | ln x, x > 0 | 1 / x |
//! | √x, x > 0 | 1 / (2 y) |
//! | silu: x · σ(x) | σ(x) · (1 + x · σ(−x)) |
//! | gelu: x · (1 + tanh u) / 2 = x · σ(2u), u = √(2/π) · (x + 0.044715 x³) | σ(2u) · (1 + x · σ(−2u) · 2u′) |
//! | ln σ(x) | σ(−x) |
//! | softplus: ln(1 + e^x) | σ(x) |
//! | c · x | c |
//! | x² | 2x |
//! | x^c, for x < 0 too if c is a whole number | c · x^(c − 1), 0 if c is 0 |
//!
//! The backward reads x, or y where that is cheaper and loses no digits: where a function saturates, 1 − y would.

pub(crate) mod cases;
mod cpu;
mod definition;
mod gpu;
#[cfg(test)]
mod tests;

use crate::DType;
use crate::definition::{Array, Defined};
use crate::device::Gpu;
use crate::error::{Error, Result};
use crate::operation::{Context, Forward, Operation, Saves};
use crate::tape::{Var, apply_one};
use crate::tensor::{Spec, Tensor};

/// Which function.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Unary {
    /// 1 / (1 + e^−x)
    Sigmoid,
    /// c · tanh(x / c)
    SoftCap(f64),
    /// tanh x
    Tanh,
    /// e^x
    Exp,
    /// ln x
    Log,
    /// √x
    Sqrt,
    /// x · σ(x)
    Silu,
    /// GELU in its tanh form
    Gelu,
    /// ln σ(x)
    LogSigmoid,
    /// ln(1 + e^x)
    Softplus,
    /// c · x
    Scale(f64),
    /// x²
    Square,
    /// x^c, for x < 0 too if c is a whole number
    Power(f64),
}

/// 1 / (1 + e^−x).
///
/// # Errors
/// A type other than a float type, here and in all functions of this module.
pub fn sigmoid(x: &Var) -> Result<Var> {
    apply_one(Unary::Sigmoid, &[x])
}

/// c · tanh(x / c): x near 0, never beyond ±c.
///
/// # Errors
/// A cap that is not positive and finite.
pub fn soft_cap(x: &Var, cap: f64) -> Result<Var> {
    apply_one(Unary::SoftCap(cap), &[x])
}

/// Hyperbolic tangent.
///
/// # Errors
/// As [`sigmoid`].
pub fn tanh(x: &Var) -> Result<Var> {
    apply_one(Unary::Tanh, &[x])
}

/// e^x.
///
/// # Errors
/// As [`sigmoid`].
pub fn exp(x: &Var) -> Result<Var> {
    apply_one(Unary::Exp, &[x])
}

/// Natural logarithm, for x > 0.
///
/// # Errors
/// As [`sigmoid`].
pub fn log(x: &Var) -> Result<Var> {
    apply_one(Unary::Log, &[x])
}

/// √x, for x > 0.
///
/// # Errors
/// As [`sigmoid`].
pub fn sqrt(x: &Var) -> Result<Var> {
    apply_one(Unary::Sqrt, &[x])
}

/// x · σ(x).
///
/// # Errors
/// As [`sigmoid`].
pub fn silu(x: &Var) -> Result<Var> {
    apply_one(Unary::Silu, &[x])
}

/// GELU in its tanh form (Hendrycks and Gimpel 2016).
///
/// # Errors
/// As [`sigmoid`].
pub fn gelu(x: &Var) -> Result<Var> {
    apply_one(Unary::Gelu, &[x])
}

/// ln σ(x), accurate for large x.
///
/// # Errors
/// As [`sigmoid`].
pub fn log_sigmoid(x: &Var) -> Result<Var> {
    apply_one(Unary::LogSigmoid, &[x])
}

/// ln(1 + e^x).
///
/// # Errors
/// As [`sigmoid`].
pub fn softplus(x: &Var) -> Result<Var> {
    apply_one(Unary::Softplus, &[x])
}

/// −x.
///
/// # Errors
/// As [`sigmoid`].
pub fn negate(x: &Var) -> Result<Var> {
    apply_one(Unary::Scale(-1.0), &[x])
}

/// factor · x.
///
/// # Errors
/// A factor that is not finite.
pub fn scale(x: &Var, factor: f64) -> Result<Var> {
    apply_one(Unary::Scale(factor), &[x])
}

/// x².
///
/// # Errors
/// As [`sigmoid`].
pub fn square(x: &Var) -> Result<Var> {
    apply_one(Unary::Square, &[x])
}

/// x to a constant power. As in PyTorch: a negative x has a power if the exponent is a whole number and gives NaN if not;
/// 0 to a negative power is infinite, anything to the power 0 is 1, and its gradient 0.
///
/// # Errors
/// An exponent that is not finite.
pub fn power(x: &Var, exponent: f64) -> Result<Var> {
    apply_one(Unary::Power(exponent), &[x])
}

impl Unary {
    /// The function's constant, 0 if it has none.
    fn constant(self) -> f64 {
        match self {
            Self::SoftCap(constant) | Self::Scale(constant) | Self::Power(constant) => constant,
            _ => 0.0,
        }
    }

    /// Whether the backward reads y; else it reads x, or nothing for [`Unary::Scale`].
    fn saves_output(self) -> bool {
        matches!(self, Self::Exp | Self::Sqrt)
    }

    /// What the backward reads.
    fn saved(self, context: &Context) -> Result<Tensor> {
        if self.saves_output() { context.output(0).cloned() } else { context.input(0).cloned() }
    }
}

impl Forward for Unary {
    fn name(&self) -> &'static str {
        match self {
            Self::Sigmoid => "sigmoid",
            Self::SoftCap(_) => "soft_cap",
            Self::Tanh => "tanh",
            Self::Exp => "exp",
            Self::Log => "log",
            Self::Sqrt => "sqrt",
            Self::Silu => "silu",
            Self::Gelu => "gelu",
            Self::LogSigmoid => "log_sigmoid",
            Self::Softplus => "softplus",
            Self::Scale(_) => "scale",
            Self::Square => "square",
            Self::Power(_) => "power",
        }
    }

    fn outputs(&self, inputs: &[Spec]) -> Result<Vec<Spec>> {
        let [x] = inputs else {
            return Err(Error::shape(self.name(), format!("takes one input, got {}", inputs.len())));
        };
        if !matches!(x.dtype, DType::F32 | DType::F64) {
            return Err(Error::dtype(self.name(), format!("takes f32 or f64, got {}", x.dtype)));
        }
        let constant = self.constant();
        if !constant.is_finite() || (matches!(self, Self::SoftCap(_)) && constant <= 0.0) {
            let expected = if matches!(self, Self::SoftCap(_)) { "positive and finite" } else { "finite" };
            return Err(Error::shape(self.name(), format!("the constant is {constant}, it must be {expected}")));
        }
        Ok(vec![*x])
    }

    fn forward_cpu(&self, inputs: &[&Tensor]) -> Result<Vec<Tensor>> {
        Ok(vec![cpu::forward(*self, inputs[0])?])
    }

    fn forward_gpu(&self, gpu: &Gpu, inputs: &[&Tensor]) -> Result<Vec<Tensor>> {
        Ok(vec![gpu::forward(*self, gpu, inputs[0])?])
    }

    fn definition(&self, inputs: &[Array]) -> Vec<Defined> {
        definition::define(*self, &inputs[0])
    }
}

impl Operation for Unary {
    fn saves(&self) -> Saves {
        match self {
            Self::Scale(_) => Saves::default(),
            _ if self.saves_output() => Saves { inputs: &[], outputs: &[0] },
            _ => Saves { inputs: &[0], outputs: &[] },
        }
    }

    fn backward_cpu(&self, context: &Context) -> Result<Vec<Option<Tensor>>> {
        let d_y = context.d_output(0)?;
        Ok(vec![Some(match self {
            Self::Scale(_) => cpu::forward(*self, d_y)?,
            _ => cpu::backward(*self, &self.saved(context)?, d_y)?,
        })])
    }

    fn backward_gpu(&self, gpu: &Gpu, context: &Context) -> Result<Vec<Option<Tensor>>> {
        let d_y = context.d_output(0)?;
        Ok(vec![Some(match self {
            Self::Scale(_) => gpu::forward(*self, gpu, d_y)?,
            _ => gpu::backward(*self, gpu, &self.saved(context)?, d_y)?,
        })])
    }
}
