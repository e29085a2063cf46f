//! Dropout on a GPU: bindings and grid.

use bytemuck::{Pod, Zeroable, bytes_of};
use gradus_shaders::dropout as shaders;

use super::{Dropout, NAME};
use crate::DType;
use crate::device::Gpu;
use crate::device::gpu::{Cost, Dispatch};
use crate::error::Result;
use crate::ops::packs::Packs;
use crate::tensor::Tensor;

#[derive(Clone, Copy, Pod, Zeroable)]
#[repr(C)]
struct Parameters {
    elements: u32,
    threshold: u32,
    all_dropped: u32,
    scale: f32,
    seed: [u32; 2],
    _align: [u32; 2],
}

/// x where it is kept, scaled, and 0 elsewhere.
pub(super) fn masked(dropout: Dropout, gpu: &Gpu, x: &Tensor) -> Result<Tensor> {
    let threshold = dropout.threshold();
    if threshold == 0 {
        return Ok(x.clone());
    }
    let y = Tensor::on_gpu(gpu, NAME, x.sizes(), DType::F32)?;
    let elements = x.elements();
    let parameters = Parameters {
        elements: elements as u32,
        threshold: threshold as u32,
        all_dropped: u32::from(threshold > u64::from(u32::MAX)),
        scale: dropout.scale() as f32,
        seed: dropout.key(),
        _align: [0; 2],
    };
    gpu.dispatch(&Dispatch {
        operation: NAME,
        kernel: &shaders::FORWARD,
        element: DType::F32,
        constants: &[],
        parameters: bytes_of(&parameters),
        buffers: &[x, &y],
        workgroups: Packs::elementwise(elements.div_ceil(4)),
        cost: Cost { flops: 30.0 * elements as f64, bytes: 8.0 * elements as f64 },
    })?;
    Ok(y)
}
