//! The head with its loss on a GPU: bindings and grids.

use bytemuck::{Pod, Zeroable, bytes_of};
use gradus_shaders::{Constant, Kernel, cross_entropy as shaders};

use super::{Computed, IGNORED, NAME, Request};
use crate::DType;
use crate::device::Gpu;
use crate::device::gpu::{Cost, Dispatch, Workgroups};
use crate::error::Result;
use crate::ops::cross_entropy::{inverse_of_kept, total};
use crate::ops::matmul::{Operand, Output, product};
use crate::tensor::Tensor;

/// Elements a workgroup of `cross_entropy/scale` scales.
const SCALED: usize = 256 * 4;

#[derive(Clone, Copy, Pod, Zeroable)]
#[repr(C)]
struct Rows {
    rows: u32,
    vocabulary: u32,
    first_row: u32,
    ignored: u32,
    cap: f32,
    not_a_number: u32,
    operation: u32,
    boost: f32,
}

fn dispatch(
    gpu: &Gpu,
    kernel: &'static Kernel,
    constants: &[Constant],
    parameters: &[u8],
    buffers: &[&Tensor],
    groups: usize,
    cost: Cost,
) -> Result<()> {
    gpu.dispatch(&Dispatch {
        operation: NAME,
        kernel,
        element: DType::F32,
        constants,
        parameters,
        buffers,
        workgroups: Workgroups::Linear(groups),
        cost,
    })
}

pub(super) fn compute(gpu: &Gpu, request: Request, inputs: &[&Tensor]) -> Result<Computed> {
    let Request { cap, gradients, per_block } = request;
    let (hidden, weight, targets) = (inputs[0], inputs[1], inputs[2]);
    let (vocabulary, depth) = (weight.sizes()[0], weight.sizes()[1]);
    let count = targets.elements();
    let new = |sizes: &[usize]| Tensor::on_gpu(gpu, NAME, sizes, DType::F32);
    let inverse = inverse_of_kept(gpu, NAME, targets, true)?;
    let rows = new(targets.sizes())?;
    let saved = match gradients {
        true if count == 0 => {
            let zeros = |of: &Tensor| Tensor::zeros(&of.device(), of.spec());
            Some((zeros(hidden)?, zeros(weight)?))
        }
        true => Some((Tensor::on_gpu(gpu, NAME, hidden.sizes(), hidden.dtype())?, new(weight.sizes())?)),
        false => None,
    };
    let boost = boost(hidden.dtype(), count);
    let (logits, faults) = (new(&[per_block, vocabulary])?, gpu.faults()?);
    for first in (0..count).step_by(per_block) {
        let block = per_block.min(count - first);
        let hidden = Operand { tensor: hidden, first: first * depth, transposed: false };
        let weights = |transposed| Operand { tensor: weight, first: 0, transposed };
        let d_logits = |transposed| Operand { tensor: &logits, first: 0, transposed };
        let output = Output { tensor: &logits, first: 0 };
        product(gpu, NAME, hidden, weights(true), output, [block, vocabulary, depth], false)?;
        let parameters = Rows {
            rows: block as u32,
            vocabulary: vocabulary as u32,
            first_row: first as u32,
            ignored: IGNORED,
            cap: cap.map_or(0.0, |cap| cap as f32),
            not_a_number: f32::NAN.to_bits(),
            operation: gpu.fault_code(NAME),
            boost,
        };
        let elements = (block * vocabulary) as f64;
        dispatch(
            gpu,
            &shaders::ROWS,
            &[("GRADIENTS", gradients.into()), ("SPAN", 256)],
            bytes_of(&parameters),
            &[&logits, targets, &inverse, &rows, &faults],
            block,
            Cost { flops: 30.0 * elements, bytes: 12.0 * elements },
        )?;
        if let Some((d_hidden, d_weight)) = &saved {
            let output = Output { tensor: d_hidden, first: first * depth };
            product(gpu, NAME, d_logits(false), weights(false), output, [block, depth, vocabulary], false)?;
            let output = Output { tensor: d_weight, first: 0 };
            product(gpu, NAME, d_logits(true), hidden, output, [vocabulary, depth, block], first > 0)?;
        }
    }

    let loss = total(gpu, NAME, &rows, &inverse)?;
    Ok(Computed { loss, rows, gradients: saved })
}

/// What the gradients of logits are multiplied with while they are operands of products in f16, a power of two near the
/// number of rows: the mean over the rows makes them so small that f16 would lose them. [`scale`] takes it out again.
fn boost(hidden: DType, rows: usize) -> f32 {
    if hidden == DType::F16 { 2f32.powi(rows.max(1).ilog2() as i32) } else { 1.0 }
}

/// A saved gradient of a batch of `rows` times the upstream one; `hidden` is the type of the hidden states.
pub(super) fn scale(gpu: &Gpu, gradient: &Tensor, d_loss: &Tensor, hidden: DType, rows: usize) -> Result<Tensor> {
    let scaled = Tensor::on_gpu(gpu, NAME, gradient.sizes(), gradient.dtype())?;
    let count = gradient.elements();
    gpu.dispatch(&Dispatch {
        operation: NAME,
        kernel: &shaders::SCALE,
        element: gradient.dtype(),
        constants: &[],
        parameters: bytes_of(&[count as u32, (1.0 / boost(hidden, rows)).to_bits(), 0, 0]),
        buffers: &[gradient, d_loss, &scaled],
        workgroups: Workgroups::Linear(count.div_ceil(SCALED)),
        cost: Cost { flops: count as f64, bytes: (2 * count * gradient.dtype().bytes()) as f64 },
    })?;
    Ok(scaled)
}
