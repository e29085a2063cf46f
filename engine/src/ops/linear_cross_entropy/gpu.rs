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
    _align: u32,
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
        true => Some((new(hidden.sizes())?, new(weight.sizes())?)),
        false => None,
    };
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
            _align: 0,
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

/// A saved gradient times the upstream one.
pub(super) fn scale(gpu: &Gpu, gradient: &Tensor, d_loss: &Tensor) -> Result<Tensor> {
    let scaled = Tensor::on_gpu(gpu, NAME, gradient.sizes(), DType::F32)?;
    let count = gradient.elements();
    dispatch(
        gpu,
        &shaders::SCALE,
        &[],
        bytes_of(&[count as u32, 0, 0, 0]),
        &[gradient, d_loss, &scaled],
        count.div_ceil(SCALED),
        Cost { flops: count as f64, bytes: 8.0 * count as f64 },
    )?;
    Ok(scaled)
}
