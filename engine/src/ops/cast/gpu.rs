//! Casts on a GPU: bindings and grids.

use gradus_shaders::cast as shaders;

use super::NAME;
use crate::DType;
use crate::device::Gpu;
use crate::device::gpu::{Cost, Dispatch};
use crate::error::{Error, Result};
use crate::ops::packs::Packs;
use crate::tensor::Tensor;

pub(super) fn convert(gpu: &Gpu, x: &Tensor, to: DType) -> Result<Tensor> {
    let kernel = match (x.dtype(), to) {
        (DType::F32, DType::F16) => &shaders::FLOAT_TO_HALF,
        (DType::U32, DType::F16) => &shaders::INDEX_TO_HALF,
        (DType::F16, DType::F32) => &shaders::HALF_TO_FLOAT,
        (DType::U32, DType::F32) => &shaders::INDEX_TO_FLOAT,
        (from, to) => {
            let message = format!("{from} {:?} cannot become {to} on a GPU: WGSL has no 64-bit floats", x.shape());
            return Err(Error::dtype(NAME, message));
        }
    };
    let y = Tensor::on_gpu(gpu, NAME, x.sizes(), to)?;
    let count = x.elements();
    // With f16 on either side an invocation takes two elements.
    let halves = x.dtype() == DType::F16 || to == DType::F16;
    gpu.dispatch(&Dispatch {
        operation: NAME,
        kernel,
        element: DType::F32,
        constants: &[],
        parameters: bytemuck::bytes_of(&(count as u32)),
        buffers: &[x, &y],
        workgroups: Packs::elementwise(if halves { count.div_ceil(2) } else { count }),
        cost: Cost { flops: 0.0, bytes: (x.spec().bytes() + y.spec().bytes()) as f64 },
    })?;
    Ok(y)
}
