//! Cross-entropy of given logits, and their log-sum-exp.
//!
//! For row i of N with logits x = logits[i], t = targets[i], p = e^x / Σ e^x:
//!
//! ```text
//! l[i] = ln Σⱼ e^xⱼ                   loss[i] = l[i] − x_t
//! d_logits[i, j] = (pⱼ − [j = t]) · d_loss[i] + pⱼ · d_l[i]
//! ```
//!
//! logits [.., V], targets u32 [..]. The losses are returned one a row, or as their sum, or as their mean over the rows that
//! count: a row whose target is [`IGNORED`] has a loss of 0 and counts for nothing; if all are ignored the mean is 0, and so
//! are the gradients. The log-sum-exp is that of every row, ignored or not.
//!
//! Everything is taken from the row's largest logit, so logits of any size are borne. Where the target has nearly all of the
//! softmax, loss and gradient come from the sum over the other columns: 1 minus its share would be nothing but rounding.
//!
//! A target that is neither below V nor [`IGNORED`] is an error: on the CPU at once, on a GPU at the next read-back. A logit
//! that is not finite makes its row NaN.
//!
//! For a language model's head, `linear_cross_entropy` computes the logits as well, and never all of them at a time.

pub(crate) mod cases;
mod cpu;
mod definition;
mod gpu;
#[cfg(test)]
mod tests;

pub(crate) use cpu::refuse_unknown;
pub(crate) use gpu::{inverse_of_kept, total};

use crate::DType;
use crate::definition::{Array, Defined};
use crate::device::Gpu;
use crate::error::{Error, Result};
use crate::operation::{Context, Forward, Operation, Saves};
use crate::tape::{Var, apply, apply_one};
use crate::tensor::{Spec, Tensor};

const NAME: &str = "cross_entropy";

/// The target of rows that do not count.
pub const IGNORED: u32 = u32::MAX;

/// What becomes of the rows' losses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reduction {
    /// Their mean over the rows that are not ignored, [1].
    Mean,
    /// Their sum, [1].
    Sum,
    /// Nothing: the loss has the targets' shape.
    None,
}

/// Cross-entropy of logits; its outputs are the loss and each row's log-sum-exp.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CrossEntropy {
    /// What becomes of the rows' losses.
    pub reduction: Reduction,
}

/// The cross-entropy of logits [.., V] against targets u32 [..].
///
/// # Errors
/// Shapes that do not fit, logits that are not f32 or f64, targets that are not u32, no columns; a target that is neither
/// below V nor [`IGNORED`] (on a GPU an error of the next read-back).
pub fn cross_entropy(logits: &Var, targets: &Var, reduction: Reduction) -> Result<Var> {
    apply_one(CrossEntropy { reduction }, &[logits, targets])
}

/// The same with ln Σ e^logits of each row, of the targets' shape: for a penalty on large logits, for instance. A gradient
/// flows from both.
///
/// # Errors
/// As [`cross_entropy`].
pub fn cross_entropy_and_log_sum_exp(logits: &Var, targets: &Var, reduction: Reduction) -> Result<(Var, Var)> {
    let outputs = apply(CrossEntropy { reduction }, &[logits, targets])?;
    match <[Var; 2]>::try_from(outputs) {
        Ok([loss, log_sum_exp]) => Ok((loss, log_sum_exp)),
        Err(outputs) => Err(Error::shape(NAME, format!("{} outputs instead of two", outputs.len()))),
    }
}

/// What the forward gives, on either device.
struct Computed {
    loss: Tensor,
    log_sum_exp: Tensor,
    /// [.., 3]: of each row the largest logit, Σ e^(x − largest) without the target's column, and with it.
    rows: Tensor,
    /// [1]: 1 / (rows that count) for a mean, else 1.
    inverse: Tensor,
}

impl Forward for CrossEntropy {
    fn name(&self) -> &'static str {
        NAME
    }

    fn outputs(&self, inputs: &[Spec]) -> Result<Vec<Spec>> {
        let [logits, targets] = inputs else {
            return Err(Error::shape(NAME, format!("takes logits and targets, got {} inputs", inputs.len())));
        };
        if !matches!(logits.dtype, DType::F32 | DType::F64) || targets.dtype != DType::U32 {
            return Err(Error::dtype(
                NAME,
                format!("takes f32 or f64 logits and u32 targets, got {} and {}", logits.dtype, targets.dtype),
            ));
        }
        let fits = match logits.shape.sizes() {
            [rows @ .., vocabulary] => rows == targets.shape.sizes() && *vocabulary > 0,
            [] => false,
        };
        if !fits {
            let message = format!(
                "needs logits [.., V] with V over 0 and targets [..], got {:?} and {:?}",
                logits.shape, targets.shape
            );
            return Err(Error::shape(NAME, message));
        }
        let rows = Spec { shape: targets.shape, dtype: logits.dtype };
        let one = Spec::new(&[1], logits.dtype)?;
        let loss = if self.reduction == Reduction::None { rows } else { one };
        let saved: Vec<usize> = targets.shape.sizes().iter().copied().chain([3]).collect();
        Ok(vec![loss, rows, Spec::new(&saved, logits.dtype)?, one])
    }

    fn auxiliary(&self) -> usize {
        2
    }

    fn forward_cpu(&self, inputs: &[&Tensor]) -> Result<Vec<Tensor>> {
        Ok(in_order(cpu::forward(self.reduction, inputs[0], inputs[1])?))
    }

    fn forward_gpu(&self, gpu: &Gpu, inputs: &[&Tensor]) -> Result<Vec<Tensor>> {
        Ok(in_order(gpu::forward(self.reduction, gpu, inputs[0], inputs[1])?))
    }

    fn definition(&self, inputs: &[Array]) -> Vec<Defined> {
        definition::define(self.reduction, &inputs[0], &inputs[1])
    }
}

fn in_order(computed: Computed) -> Vec<Tensor> {
    vec![computed.loss, computed.log_sum_exp, computed.rows, computed.inverse]
}

impl Operation for CrossEntropy {
    fn saves(&self) -> Saves {
        Saves { inputs: &[0, 1], outputs: &[2, 3] }
    }

    fn backward_cpu(&self, context: &Context) -> Result<Vec<Option<Tensor>>> {
        let d_logits = context.needs[0].then(|| cpu::backward(self.reduction, context)).transpose()?;
        Ok(vec![d_logits, None])
    }

    fn backward_gpu(&self, gpu: &Gpu, context: &Context) -> Result<Vec<Option<Tensor>>> {
        let d_logits = context.needs[0].then(|| gpu::backward(self.reduction, gpu, context)).transpose()?;
        Ok(vec![d_logits, None])
    }
}
