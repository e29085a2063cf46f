//! The head and the loss of a language model in one: logits and their cross-entropy, by blocks of rows, so that the logits
//! of a whole batch never exist.
//!
//! For row i of N, with x = hidden[i] · weightᵀ, optionally soft-capped, z = c·tanh(x / c) (else z = x), t = targets[i]:
//!
//! ```text
//! loss[i] = ln Σⱼ e^zⱼ − z_t            loss = Σ loss[i] / K over the K rows that are not ignored
//! dx[i, j] = (e^zⱼ / Σₖ e^zₖ − [j = t]) · (1 − (zⱼ / c)²) / K
//! d_hidden[i] = dx[i] · weight          d_weight = Σᵢ dx[i]ᵀ · hidden[i]
//! ```
//!
//! hidden [.., d], weight [V, d] (a linear layer's), targets u32 [..], loss [1]. A row whose target is [`IGNORED`] counts
//! neither in the loss nor in K; if all rows are ignored, the loss and the gradients are 0.
//!
//! The gradients for an upstream gradient of 1 are computed in the forward, block by block while the logits are there, and
//! only scaled in the backward: logits are computed once. Without a tape the gradients are skipped.
//!
//! In mixed precision hidden is f16 and so is its gradient; weight, logits, loss and d_weight are f32.
//!
//! A target that is neither below V nor [`IGNORED`] is an error, on the CPU at once, on a GPU at the next read-back; until
//! then it makes the loss and the gradients NaN, as a logit that is not finite does, and the optimizer skips the step.

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
use crate::operation::{Context, Forward, Operation, Saves, run};
use crate::tape::{Var, apply_one};
use crate::tensor::{Spec, Tensor};

const NAME: &str = "linear_cross_entropy";

pub use crate::ops::cross_entropy::IGNORED;

/// Memory that the logits of one block of rows may take.
const LOGITS_BYTES: usize = 64 << 20;
/// Rows a block at least, and its unit: products of fewer rows would be slow.
const ROW_UNIT: usize = 64;

/// Rows of logits that are computed at a time: as many as 64 MiB hold, in multiples of 64, at least 64.
pub fn rows_per_block(rows: usize, vocabulary: usize, dtype: DType) -> usize {
    let fit = LOGITS_BYTES / (vocabulary * dtype.bytes()).max(1);
    (fit / ROW_UNIT * ROW_UNIT).max(ROW_UNIT).min(rows).max(1)
}

/// The mean cross-entropy of logits that are a linear layer's outputs.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct LinearCrossEntropy {
    /// c, the soft cap of the logits.
    pub cap: Option<f64>,
    /// Whether the forward computes the gradients as well; without them there is no backward.
    pub gradients: bool,
}

/// The loss of each row: [`LinearCrossEntropy`] without the mean and without gradients.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct LinearCrossEntropyRows {
    /// c, the soft cap of the logits.
    pub cap: Option<f64>,
}

/// The mean cross-entropy [1] of hidden [.., d] · weightᵀ, weight [V, d], against targets u32 [..], the logits soft-capped
/// at `cap`.
///
/// # Errors
/// Shapes that do not fit, types other than two equal float types and u32, a cap that is not over 0; on the CPU a target
/// that is neither below V nor [`IGNORED`]. On a GPU such a target is an error of the next read-back.
pub fn linear_cross_entropy(hidden: &Var, weight: &Var, targets: &Var, cap: Option<f64>) -> Result<Var> {
    let gradients = hidden.needs_gradient() || weight.needs_gradient();
    apply_one(LinearCrossEntropy { cap, gradients }, &[hidden, weight, targets])
}

/// The cross-entropy of each row, with the targets' shape; 0 where a row is ignored.
///
/// # Errors
/// As [`linear_cross_entropy`].
pub fn loss_rows(hidden: &Tensor, weight: &Tensor, targets: &Tensor, cap: Option<f64>) -> Result<Tensor> {
    let mut outputs = run(&LinearCrossEntropyRows { cap }, &[hidden, weight, targets])?;
    outputs.pop().ok_or_else(|| Error::shape(NAME, "no output"))
}

/// What one pass over the rows is to compute.
#[derive(Debug, Clone, Copy)]
struct Request {
    cap: Option<f64>,
    gradients: bool,
    /// Rows of logits at a time.
    per_block: usize,
}

impl Request {
    fn new(cap: Option<f64>, gradients: bool, inputs: &[&Tensor]) -> Self {
        let per_block = rows_per_block(inputs[2].elements(), inputs[1].sizes()[0], inputs[1].dtype());
        Self { cap, gradients, per_block }
    }
}

/// What one pass over the rows gives.
struct Computed {
    /// The mean, [1].
    loss: Tensor,
    /// Each row's loss.
    rows: Tensor,
    /// For an upstream gradient of 1: those of hidden and weight.
    gradients: Option<(Tensor, Tensor)>,
}

fn check(inputs: &[Spec], cap: Option<f64>) -> Result<()> {
    let [hidden, weight, targets] = inputs else {
        return Err(Error::shape(NAME, format!("takes hidden, weight and targets, got {} inputs", inputs.len())));
    };
    let fits = match weight.dtype {
        DType::F64 => hidden.dtype == DType::F64,
        DType::F32 => matches!(hidden.dtype, DType::F32 | DType::F16),
        DType::F16 | DType::U32 => false,
    };
    if !fits || targets.dtype != DType::U32 {
        return Err(Error::dtype(
            NAME,
            format!(
                "takes two f32, two f64, or hidden f16 and weight f32, and u32 targets, got {}, {} and {}",
                hidden.dtype, weight.dtype, targets.dtype
            ),
        ));
    }
    let (h, w, t) = (hidden.shape.sizes(), weight.shape.sizes(), targets.shape.sizes());
    let fits = match (h, w) {
        ([rows @ .., width], [vocabulary, depth]) => rows == t && width == depth && *depth > 0 && *vocabulary > 0,
        _ => false,
    };
    if !fits {
        return Err(Error::shape(
            NAME,
            format!("needs hidden [.., d], weight [V, d], targets [..], got {h:?}, {w:?}, {t:?}"),
        ));
    }
    if cap.is_some_and(|cap| !(cap > 0.0 && cap.is_finite())) {
        return Err(Error::shape(NAME, format!("a soft cap of {cap:?}: it must be over 0 and finite")));
    }
    Ok(())
}

impl Forward for LinearCrossEntropy {
    fn name(&self) -> &'static str {
        NAME
    }

    fn outputs(&self, inputs: &[Spec]) -> Result<Vec<Spec>> {
        check(inputs, self.cap)?;
        let loss = Spec::new(&[1], inputs[1].dtype)?;
        Ok(if self.gradients { vec![loss, inputs[0], inputs[1]] } else { vec![loss] })
    }

    fn auxiliary(&self) -> usize {
        if self.gradients { 2 } else { 0 }
    }

    fn forward_cpu(&self, inputs: &[&Tensor]) -> Result<Vec<Tensor>> {
        Ok(self.visible_first(cpu::compute(Request::new(self.cap, self.gradients, inputs), inputs)?))
    }

    fn forward_gpu(&self, gpu: &Gpu, inputs: &[&Tensor]) -> Result<Vec<Tensor>> {
        Ok(self.visible_first(gpu::compute(gpu, Request::new(self.cap, self.gradients, inputs), inputs)?))
    }

    fn definition(&self, inputs: &[Array]) -> Vec<Defined> {
        vec![definition::mean(self.cap, &inputs[0], &inputs[1], &inputs[2])]
    }
}

impl LinearCrossEntropy {
    fn visible_first(self, computed: Computed) -> Vec<Tensor> {
        let mut outputs = vec![computed.loss];
        outputs.extend(computed.gradients.into_iter().flat_map(|(d_hidden, d_weight)| [d_hidden, d_weight]));
        outputs
    }

    /// The saved gradients times the upstream one.
    fn backward(
        self,
        context: &Context,
        scale: impl Fn(&Tensor, &Tensor) -> Result<Tensor>,
    ) -> Result<Vec<Option<Tensor>>> {
        if !self.gradients {
            return Err(Error::Tape(format!("{NAME}: it ran without gradients, so it has no backward")));
        }
        let d_loss = context.d_output(0)?;
        let gradient =
            |place: usize| context.needs[place].then(|| scale(context.output(place + 1)?, d_loss)).transpose();
        Ok(vec![gradient(0)?, gradient(1)?, None])
    }
}

impl Operation for LinearCrossEntropy {
    fn saves(&self) -> Saves {
        Saves { inputs: &[], outputs: if self.gradients { &[1, 2] } else { &[] } }
    }

    fn backward_cpu(&self, context: &Context) -> Result<Vec<Option<Tensor>>> {
        self.backward(context, cpu::scale)
    }

    fn backward_gpu(&self, gpu: &Gpu, context: &Context) -> Result<Vec<Option<Tensor>>> {
        let (hidden, rows) = (context.input_specs[0].dtype, context.input_specs[2].shape.elements());
        self.backward(context, |gradient, d_loss| gpu::scale(gpu, gradient, d_loss, hidden, rows))
    }
}

impl Forward for LinearCrossEntropyRows {
    fn name(&self) -> &'static str {
        "linear_cross_entropy_rows"
    }

    fn outputs(&self, inputs: &[Spec]) -> Result<Vec<Spec>> {
        check(inputs, self.cap)?;
        Ok(vec![Spec { shape: inputs[2].shape, dtype: inputs[1].dtype }])
    }

    fn forward_cpu(&self, inputs: &[&Tensor]) -> Result<Vec<Tensor>> {
        Ok(vec![cpu::compute(Request::new(self.cap, false, inputs), inputs)?.rows])
    }

    fn forward_gpu(&self, gpu: &Gpu, inputs: &[&Tensor]) -> Result<Vec<Tensor>> {
        Ok(vec![gpu::compute(gpu, Request::new(self.cap, false, inputs), inputs)?.rows])
    }

    fn definition(&self, inputs: &[Array]) -> Vec<Defined> {
        vec![definition::rows(self.cap, &inputs[0], &inputs[1], &inputs[2])]
    }
}
