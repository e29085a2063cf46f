//! Normalisation on a GPU: bindings and grids.

use bytemuck::{Pod, Zeroable};
use gradus_shaders::{Constant, norm as shaders};

use super::{Norm, Rows};
use crate::DType;
use crate::device::Gpu;
use crate::device::gpu::{Cost, Dispatch, Workgroups};
use crate::error::Result;
use crate::operation::{Context, Forward};
use crate::ops::packs::Packs;
use crate::tensor::Tensor;

/// Tokens that one invocation's partial sum covers at least, and the blocks of tokens wanted at most: few enough that the
/// partial sums are small beside x, enough that they fill a large GPU.
const TOKENS_PER_BLOCK: usize = 8;
const MOST_BLOCKS: usize = 1024;

/// Packs of a tensor that an invocation holds, in rows that have so many: fewer in the backward, which holds two tensors and
/// goes through fewer rows at a time.
const PACKS_HELD_FORWARD: usize = 4;
const PACKS_HELD_BACKWARD: usize = 2;

#[derive(Clone, Copy, Pod, Zeroable)]
#[repr(C)]
struct ForwardParameters {
    rows: u32,
    packs: u32,
    heads: u32,
    epsilon: f32,
    inverse_columns: f32,
}

#[derive(Clone, Copy, Pod, Zeroable)]
#[repr(C)]
struct BackwardParameters {
    tokens: u32,
    heads: u32,
    packs: u32,
    tokens_per_block: u32,
    pairs: u32,
    epsilon: f32,
    inverse_columns: f32,
    accumulate: u32,
}

fn constants(norm: Norm, packs: Packs) -> [Constant; 3] {
    let [span, kept] = packs.constants();
    [span, kept, ("CENTRED", u32::from(norm.kind.centred()))]
}

pub(super) fn forward(norm: Norm, gpu: &Gpu, inputs: &[&Tensor]) -> Result<Vec<Tensor>> {
    let Rows { tokens, heads, columns } = norm.kind.rows(inputs[0].sizes());
    let specs: Vec<_> = inputs.iter().map(|input| input.spec()).collect();
    let spec = norm.outputs(&specs)?[0];
    let y = Tensor::on_gpu(gpu, norm.name(), spec.shape.sizes(), spec.dtype)?;
    let packs = Packs::of(columns).held(PACKS_HELD_FORWARD);
    let kernels = if norm.kind.gated() { &shaders::FORWARD_GATED } else { &shaders::FORWARD };
    let mut buffers = vec![inputs[0], inputs[1], &y];
    buffers.extend(inputs.get(2));
    let parameters = ForwardParameters {
        rows: (tokens * heads) as u32,
        packs: packs.count as u32,
        heads: heads as u32,
        epsilon: norm.epsilon as f32,
        inverse_columns: 1.0 / columns as f32,
    };
    gpu.dispatch(&Dispatch {
        operation: norm.name(),
        kernel: packs.pick(kernels),
        element: y.dtype(),
        constants: &constants(norm, packs),
        parameters: bytemuck::bytes_of(&parameters),
        buffers: &buffers,
        workgroups: Workgroups::Linear(packs.workgroups(tokens * heads)),
        cost: Cost {
            flops: 8.0 * y.elements() as f64,
            bytes: (inputs[0].spec().bytes() + y.spec().bytes() * if norm.kind.gated() { 2 } else { 1 }) as f64,
        },
    })?;
    Ok(vec![y])
}

/// The gradients; that of x is added to `sum` in place, if there is one.
pub(super) fn backward(norm: Norm, gpu: &Gpu, context: &Context, sum: Option<Tensor>) -> Result<Vec<Option<Tensor>>> {
    let (x, weight, d_y) = (context.input(0)?, context.input(1)?, context.d_output(0)?);
    let Rows { tokens, heads, columns } = norm.kind.rows(x.sizes());
    let tokens_per_block = TOKENS_PER_BLOCK.max(tokens.div_ceil(MOST_BLOCKS));
    let blocks = tokens.div_ceil(tokens_per_block);
    let packs = Packs::of(columns).held(PACKS_HELD_BACKWARD);
    let width = heads * columns;
    let name = norm.name();
    let accumulate = u32::from(sum.is_some());
    let d_x = match sum {
        Some(sum) => sum,
        None => Tensor::on_gpu(gpu, name, x.sizes(), DType::F32)?,
    };
    let partial = Tensor::on_gpu(gpu, name, &[blocks, width], DType::F32)?;
    let gated = norm.kind.gated();
    let d_gate = gated.then(|| Tensor::on_gpu(gpu, name, d_y.sizes(), d_y.dtype())).transpose()?;
    let mut buffers = vec![x, weight, d_y, &d_x, &partial];
    if let Some(d_gate) = &d_gate {
        buffers.extend([context.input(2)?, d_gate]);
    }
    let parameters = BackwardParameters {
        tokens: tokens as u32,
        heads: heads as u32,
        packs: packs.count as u32,
        tokens_per_block: tokens_per_block as u32,
        pairs: (blocks * heads) as u32,
        epsilon: norm.epsilon as f32,
        inverse_columns: 1.0 / columns as f32,
        accumulate,
    };
    gpu.dispatch(&Dispatch {
        operation: name,
        kernel: packs.pick(if gated { &shaders::BACKWARD_GATED } else { &shaders::BACKWARD }),
        element: d_y.dtype(),
        constants: &constants(norm, packs),
        parameters: bytemuck::bytes_of(&parameters),
        buffers: &buffers,
        workgroups: Workgroups::Linear(packs.workgroups(blocks * heads)),
        cost: Cost {
            flops: 16.0 * x.elements() as f64,
            bytes: (2 * x.spec().bytes() + d_y.spec().bytes() * if gated { 3 } else { 1 } + partial.spec().bytes())
                as f64,
        },
    })?;
    let d_weight = context.needs[1].then(|| column_sum(gpu, name, &partial, blocks, width)).transpose()?;
    let mut gradients = vec![Some(d_x), d_weight];
    if gated {
        gradients.push(d_gate);
    }
    Ok(gradients)
}

/// y\[c\] = Σ x\[r, c\] for x of `rows` · `columns` elements.
pub(crate) fn column_sum(
    gpu: &Gpu,
    operation: &'static str,
    x: &Tensor,
    rows: usize,
    columns: usize,
) -> Result<Tensor> {
    /// Columns a workgroup adds up, as in `norm/column_sum.wgsl`.
    const COLUMNS: usize = 8;
    let y = Tensor::on_gpu(gpu, operation, &[columns], DType::F32)?;
    gpu.dispatch(&Dispatch {
        operation,
        kernel: &shaders::COLUMN_SUM,
        element: DType::F32,
        constants: &[],
        parameters: bytemuck::bytes_of(&[rows as u32, columns as u32]),
        buffers: &[x, &y],
        workgroups: Workgroups::Linear(columns.div_ceil(COLUMNS)),
        cost: Cost { flops: x.elements() as f64, bytes: 4.0 * x.elements() as f64 },
    })?;
    Ok(y)
}
