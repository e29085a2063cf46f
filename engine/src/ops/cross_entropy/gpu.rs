//! Cross-entropy on a GPU: bindings and grids.

use bytemuck::bytes_of;
use gradus_shaders::{Constant, Kernel, cross_entropy as shaders};

use super::{Computed, IGNORED, NAME, Reduction};
use crate::DType;
use crate::device::Gpu;
use crate::device::gpu::{Cost, Dispatch, Workgroups};
use crate::error::Result;
use crate::operation::Context;
use crate::ops::packs::Packs;
use crate::tensor::Tensor;

fn dispatch(
    gpu: &Gpu,
    operation: &'static str,
    (kernel, constants): (&'static Kernel, &[Constant]),
    parameters: &[u8],
    buffers: &[&Tensor],
    workgroups: Workgroups,
    cost: Cost,
) -> Result<()> {
    let element = DType::F32;
    gpu.dispatch(&Dispatch { operation, kernel, element, constants, parameters, buffers, workgroups, cost })
}

/// [1]: one over the number of targets that are not ignored, 0 if there is none; without `mean`, 1.
pub(crate) fn inverse_of_kept(gpu: &Gpu, operation: &'static str, targets: &Tensor, mean: bool) -> Result<Tensor> {
    let inverse = Tensor::on_gpu(gpu, operation, &[1], DType::F32)?;
    let count = targets.elements();
    let parameters = [count as u32, IGNORED, u32::from(mean), 0];
    let cost = Cost { flops: count as f64, bytes: 4.0 * count as f64 };
    let one = Workgroups::Linear(1);
    dispatch(gpu, operation, (&shaders::KEPT, &[]), bytes_of(&parameters), &[targets, &inverse], one, cost)?;
    Ok(inverse)
}

/// [1]: the sum of the losses times `inverse`.
pub(crate) fn total(gpu: &Gpu, operation: &'static str, losses: &Tensor, inverse: &Tensor) -> Result<Tensor> {
    let loss = Tensor::on_gpu(gpu, operation, &[1], DType::F32)?;
    let count = losses.elements();
    let parameters = [count as u32, 0, 0, 0];
    let cost = Cost { flops: count as f64, bytes: 4.0 * count as f64 };
    let one = Workgroups::Linear(1);
    dispatch(gpu, operation, (&shaders::MEAN, &[]), bytes_of(&parameters), &[losses, inverse, &loss], one, cost)?;
    Ok(loss)
}

pub(super) fn forward(reduction: Reduction, gpu: &Gpu, logits: &Tensor, targets: &Tensor) -> Result<Computed> {
    let (count, vocabulary) = (targets.elements(), logits.shape().last());
    let new = |sizes: &[usize]| Tensor::on_gpu(gpu, NAME, sizes, DType::F32);
    let (losses, log_sum_exp) = (new(targets.sizes())?, new(targets.sizes())?);
    let rows = new(&targets.sizes().iter().copied().chain([3]).collect::<Vec<_>>())?;
    let packs = Packs::by_one(vocabulary);
    let parameters = [count as u32, vocabulary as u32, IGNORED, f32::NAN.to_bits(), gpu.fault_code(NAME), 0, 0, 0];
    let elements = logits.elements() as f64;
    dispatch(
        gpu,
        NAME,
        (&shaders::FORWARD, &packs.constants()[..1]),
        bytes_of(&parameters),
        &[logits, targets, &losses, &log_sum_exp, &rows, &gpu.faults()?],
        Workgroups::Linear(packs.workgroups(count)),
        Cost { flops: 10.0 * elements, bytes: 4.0 * elements },
    )?;
    let inverse = inverse_of_kept(gpu, NAME, targets, reduction == Reduction::Mean)?;
    let loss = match reduction {
        Reduction::None => losses,
        Reduction::Mean | Reduction::Sum => total(gpu, NAME, &losses, &inverse)?,
    };
    Ok(Computed { loss, log_sum_exp, rows, inverse })
}

pub(super) fn backward(reduction: Reduction, gpu: &Gpu, context: &Context) -> Result<Tensor> {
    let (logits, targets) = (context.input(0)?, context.input(1)?);
    let (rows, inverse) = (context.output(2)?, context.output(3)?);
    let d_logits = Tensor::on_gpu(gpu, NAME, logits.sizes(), DType::F32)?;
    let (d_loss, d_log_sum_exp) = (context.d_outputs[0].as_ref(), context.d_outputs[1].as_ref());
    let constants = [
        ("PER_ROW", u32::from(reduction == Reduction::None)),
        ("LOSS", u32::from(d_loss.is_some())),
        ("LOG_SUM_EXP", u32::from(d_log_sum_exp.is_some())),
    ];
    let elements = logits.elements();
    let parameters = [elements as u32, logits.shape().last() as u32, IGNORED, f32::NAN.to_bits()];
    // A gradient that is not there is not read; something must be bound in its place.
    let buffers =
        [logits, targets, rows, inverse, d_loss.unwrap_or(inverse), d_log_sum_exp.unwrap_or(inverse), &d_logits];
    dispatch(
        gpu,
        NAME,
        (&shaders::BACKWARD, &constants),
        bytes_of(&parameters),
        &buffers,
        Packs::elementwise(elements),
        Cost { flops: 8.0 * elements as f64, bytes: 8.0 * elements as f64 },
    )?;
    Ok(d_logits)
}
