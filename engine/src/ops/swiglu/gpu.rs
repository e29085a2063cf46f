//! SwiGLU on a GPU: bindings and grids.

use gradus_shaders::{Kernel, swiglu as shaders};

use super::SwiGlu;
use crate::device::Gpu;
use crate::device::gpu::{Cost, Dispatch};
use crate::error::Result;
use crate::operation::{Context, Forward};
use crate::ops::packs::Packs;
use crate::tensor::Tensor;

/// Runs a kernel of either direction; `columns` is the length of a row of y, `moved` how many tensors as large as y are
/// read and written.
fn dispatch(
    layout: SwiGlu,
    gpu: &Gpu,
    kernels: &'static [Kernel; 2],
    buffers: &[&Tensor],
    [rows, columns]: [usize; 2],
    moved: f64,
) -> Result<()> {
    let packs = Packs::of(columns);
    let count = rows * packs.count;
    gpu.dispatch(&Dispatch {
        operation: layout.name(),
        kernel: packs.pick(kernels),
        element: buffers[0].dtype(),
        constants: &[],
        parameters: bytemuck::bytes_of(&[count as u32, packs.count as u32]),
        buffers,
        workgroups: Packs::elementwise(count),
        cost: Cost {
            flops: 8.0 * (rows * columns) as f64,
            bytes: moved * (rows * columns * buffers[0].dtype().bytes()) as f64,
        },
    })
}

/// Rows and columns of y as the kernels see it: separate tensors have no rows to keep apart.
fn extent(layout: SwiGlu, y: &Tensor) -> [usize; 2] {
    match layout {
        SwiGlu::Separate => [1, y.elements()],
        SwiGlu::Packed => [y.shape().rows(), y.shape().last()],
    }
}

pub(super) fn forward(layout: SwiGlu, gpu: &Gpu, inputs: &[&Tensor]) -> Result<Vec<Tensor>> {
    let specs: Vec<_> = inputs.iter().map(|input| input.spec()).collect();
    let y = Tensor::on_gpu(gpu, layout.name(), layout.outputs(&specs)?[0].shape.sizes(), inputs[0].dtype())?;
    let kernels = match layout {
        SwiGlu::Separate => &shaders::FORWARD,
        SwiGlu::Packed => &shaders::FORWARD_PACKED,
    };
    let mut buffers = vec![&y];
    buffers.extend(inputs);
    dispatch(layout, gpu, kernels, &buffers, extent(layout, &y), 3.0)?;
    Ok(vec![y])
}

pub(super) fn backward(layout: SwiGlu, gpu: &Gpu, context: &Context) -> Result<Vec<Option<Tensor>>> {
    let d_y = context.d_output(0)?;
    let inputs: Vec<&Tensor> = (0..context.input_specs.len()).map(|at| context.input(at)).collect::<Result<_>>()?;
    let gradients: Vec<Tensor> = inputs
        .iter()
        .map(|input| Tensor::on_gpu(gpu, layout.name(), input.sizes(), input.dtype()))
        .collect::<Result<_>>()?;
    let kernels = match layout {
        SwiGlu::Separate => &shaders::BACKWARD,
        SwiGlu::Packed => &shaders::BACKWARD_PACKED,
    };
    let mut buffers = vec![d_y];
    buffers.extend(inputs);
    buffers.extend(&gradients);
    dispatch(layout, gpu, kernels, &buffers, extent(layout, d_y), 5.0)?;
    Ok(gradients.into_iter().map(Some).collect())
}
