//! Normalisation of rows, with a weight: RMSNorm, LayerNorm, and LayerNorm of each head with and without an output gate.
//!
//! For a row x of D elements, with mean m (0 for RMSNorm) and d = x − m:
//!
//! - r = 1 / √(mean(d²) + ε), y = d · r · w; gated: y = σ(o) · d · r · w
//! - with u = dy (gated: dy · σ(o)) and g = u · w: dx = r · (g − mean(g) − d · r² · mean(g · d)), where mean(g) is left
//!   out for RMSNorm
//! - dw = Σ over rows of u · d · r; do = u · d · r · w · σ(−o)
//!
//! Source: Zhang and Sennrich 2019 (RMSNorm); Ba, Kiros and Hinton 2016 (LayerNorm); the multi-head norm and its gate are
//! those of the mLSTM layer of xLSTM (Beck et al. 2024). The backward computes m and r again from x, which it reads anyway.
//!
//! In mixed precision, on a GPU with f16, x, the weight and their gradients stay f32 and all is computed in f32; y, its
//! gradient, the gate and the gate's gradient are f16.

pub(crate) mod cases;
mod cpu;
mod definition;
mod gpu;
#[cfg(test)]
mod tests;

pub(crate) use gpu::column_sum;

use crate::definition::{Array, Defined};
use crate::device::Gpu;
use crate::error::{Error, Result};
use crate::operation::{Context, Forward, Operation, Saves};
use crate::ops::arithmetic::add;
use crate::tape::{Var, apply_one};
use crate::tensor::{Spec, Tensor};
use crate::{DType, Precision};

/// Which rows are normalised, and how.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Rows [.., D] by their root mean square.
    RmsNorm,
    /// Rows [.., D] by mean and variance.
    LayerNorm,
    /// The rows of each head, [.., heads, D], by mean and variance.
    MultiHeadNorm,
    /// The same, with the result passing a sigmoid gate.
    MultiHeadNormGated,
}

/// A normalisation.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Norm {
    /// Which.
    pub kind: Kind,
    /// Added to the mean square or the variance.
    pub epsilon: f64,
    /// The type of y; that of a gated norm is its gate's in any case.
    pub output: Precision,
}

/// x · w / √(mean(x²) + ε) over the last dimension. x \[.., D\], weight \[D\].
///
/// # Errors
/// A weight of another length; types other than two equal float types; a negative ε.
pub fn rms_norm(x: &Var, weight: &Var, epsilon: f64) -> Result<Var> {
    apply_one(Norm::new(Kind::RmsNorm, epsilon), &[x, weight])
}

/// [`rms_norm`] of an f32 x with its result in the precision of a product's operand; its gradient has that type as well.
///
/// # Errors
/// As [`rms_norm`]; f16 on a GPU without it.
pub fn rms_norm_to(x: &Var, weight: &Var, epsilon: f64, output: Precision) -> Result<Var> {
    apply_one(Norm { output, ..Norm::new(Kind::RmsNorm, epsilon) }, &[x, weight])
}

/// (x − mean) / √(variance + ε) · w + b over the last dimension, with the biased variance. x \[.., D\], weight and bias
/// \[D\].
///
/// # Errors
/// As [`rms_norm`].
pub fn layer_norm(x: &Var, weight: &Var, bias: Option<&Var>, epsilon: f64) -> Result<Var> {
    let scaled = apply_one(Norm::new(Kind::LayerNorm, epsilon), &[x, weight])?;
    bias.map_or(Ok(scaled.clone()), |bias| add(&scaled, bias))
}

/// LayerNorm of each head: x \[.., heads, D\], weight \[heads · D\] → \[.., heads · D\]. No bias.
///
/// # Errors
/// As [`rms_norm`].
pub fn multi_head_norm(x: &Var, weight: &Var, epsilon: f64) -> Result<Var> {
    apply_one(Norm::new(Kind::MultiHeadNorm, epsilon), &[x, weight])
}

/// σ(gate) · [`multi_head_norm`]\(x\), in one kernel. The gate comes before its sigmoid, \[.., heads · D\]; if it is f16 so is
/// the result, while x and weight stay f32.
///
/// # Errors
/// As [`rms_norm`]; a gate of another shape than the result; an f16 gate on the CPU.
pub fn multi_head_norm_gated(x: &Var, weight: &Var, gate: &Var, epsilon: f64) -> Result<Var> {
    apply_one(Norm::new(Kind::MultiHeadNormGated, epsilon), &[x, weight, gate])
}

/// How a tensor falls into rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Rows {
    tokens: usize,
    heads: usize,
    columns: usize,
}

impl Norm {
    /// With a result in the type computed in.
    pub fn new(kind: Kind, epsilon: f64) -> Self {
        Self { kind, epsilon, output: Precision::Full }
    }

    /// The type of y, by those of the inputs; `None` if they do not fit.
    fn output_type(&self, inputs: &[Spec]) -> Option<DType> {
        let computed = inputs[0].dtype;
        if !matches!(computed, DType::F32 | DType::F64) || inputs[1].dtype != computed {
            return None;
        }
        match inputs.get(2).map(|gate| gate.dtype) {
            None => Some(self.output.of(computed)),
            Some(gate) => (gate == computed || gate == Precision::Half.of(computed)).then_some(gate),
        }
    }
}

impl Kind {
    fn centred(self) -> bool {
        self != Self::RmsNorm
    }

    fn gated(self) -> bool {
        self == Self::MultiHeadNormGated
    }

    /// From the sizes of x, whose rank the shape rule has checked.
    fn rows(self, x: &[usize]) -> Rows {
        let columns = x.last().copied().unwrap_or(1);
        let heads = match self {
            Self::RmsNorm | Self::LayerNorm => 1,
            Self::MultiHeadNorm | Self::MultiHeadNormGated => x[x.len() - 2],
        };
        let tokens = x.iter().product::<usize>().checked_div(heads * columns).unwrap_or(0);
        Rows { tokens, heads, columns }
    }
}

impl Forward for Norm {
    fn name(&self) -> &'static str {
        match self.kind {
            Kind::RmsNorm => "rms_norm",
            Kind::LayerNorm => "layer_norm",
            Kind::MultiHeadNorm => "multi_head_norm",
            Kind::MultiHeadNormGated => "multi_head_norm_gated",
        }
    }

    fn outputs(&self, inputs: &[Spec]) -> Result<Vec<Spec>> {
        let shapes: Vec<_> = inputs.iter().map(|input| input.shape).collect();
        let error = |what: &str| Err(Error::shape(self.name(), format!("{what}; the inputs are {shapes:?}")));
        let expected = if self.kind.gated() { 3 } else { 2 };
        if inputs.len() != expected {
            return error(&format!("takes {expected} inputs, got {}", inputs.len()));
        }
        let x = inputs[0].shape.sizes();
        let Some(dtype) = self.output_type(inputs) else {
            let types: Vec<_> = inputs.iter().map(|input| input.dtype).collect();
            let half = if self.kind.gated() { ", but a gate may be f16 on a GPU" } else { "" };
            return Err(Error::dtype(self.name(), format!("takes f32 or f64 for all inputs{half}, got {types:?}")));
        };
        if !(self.epsilon >= 0.0 && self.epsilon.is_finite()) {
            return error(&format!("epsilon is {}, it must be 0 or more", self.epsilon));
        }
        let multi_head = matches!(self.kind, Kind::MultiHeadNorm | Kind::MultiHeadNormGated);
        if x.len() < 1 + usize::from(multi_head) {
            return error(if multi_head { "x must be [.., heads, D]" } else { "x must be [.., D]" });
        }
        let rows = self.kind.rows(x);
        if inputs[1].shape.sizes() != [rows.heads * rows.columns] {
            return error(&format!("the weight must be [{}]", rows.heads * rows.columns));
        }
        let mut y = x.to_vec();
        if multi_head {
            y.truncate(x.len() - 2);
            y.push(rows.heads * rows.columns);
        }
        if self.kind.gated() && inputs[2].shape.sizes() != y {
            return error(&format!("the gate must be {y:?}"));
        }
        Ok(vec![Spec::new(&y, dtype)?])
    }

    fn forward_cpu(&self, inputs: &[&Tensor]) -> Result<Vec<Tensor>> {
        cpu::forward(*self, inputs)
    }

    fn forward_gpu(&self, gpu: &Gpu, inputs: &[&Tensor]) -> Result<Vec<Tensor>> {
        gpu::forward(*self, gpu, inputs)
    }

    fn definition(&self, inputs: &[Array]) -> Vec<Defined> {
        definition::define(*self, inputs)
    }
}

impl Operation for Norm {
    fn saves(&self) -> Saves {
        Saves { inputs: if self.kind.gated() { &[0, 1, 2] } else { &[0, 1] }, outputs: &[] }
    }

    fn backward_cpu(&self, context: &Context) -> Result<Vec<Option<Tensor>>> {
        cpu::backward(*self, context)
    }

    fn backward_gpu(&self, gpu: &Gpu, context: &Context) -> Result<Vec<Option<Tensor>>> {
        gpu::backward(*self, gpu, context, None)
    }

    fn backward_gpu_onto(
        &self,
        gpu: &Gpu,
        context: &Context,
        sums: &mut [Option<Tensor>],
    ) -> Result<Vec<Option<Tensor>>> {
        gpu::backward(*self, gpu, context, sums[0].take())
    }
}
