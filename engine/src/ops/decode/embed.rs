//! The first kernel of a step.

use gradus_shaders::decode as shaders;

use super::{NAME, PACK, expect, gpu_of};
use crate::DType;
use crate::device::gpu::{Cost, Dispatch, Workgroups};
use crate::error::{Error, Result};
use crate::tensor::Tensor;

/// The rows of an f16 table [vocabulary, width] that tokens [batch] (u32) name, into x [batch, width] (f32); the number in
/// `position` (u32, one) grows by 1. A token that is not in the table gives NaN, and an error at the next read-back.
///
/// # Errors
/// Tensors of other types or sizes, on the CPU or on several devices, or shared ones to write to; a width that is no multiple
/// of [`PACK`].
pub fn embed(table: &Tensor, tokens: &Tensor, x: &mut Tensor, position: &mut Tensor) -> Result<()> {
    let gpu = gpu_of(table)?;
    let &[vocabulary, width] = table.sizes() else {
        return Err(Error::shape(NAME, format!("the embedding must be a matrix, got {table:?}")));
    };
    if table.dtype() != DType::F16 || !width.is_multiple_of(PACK) {
        return Err(Error::shape(
            NAME,
            format!("the embedding must be f16, {PACK} numbers or more a row, got {table:?}"),
        ));
    }
    let batch = tokens.elements();
    expect("tokens", tokens, DType::U32, batch)?;
    expect("x", x, DType::F32, batch * width)?;
    expect("the position", position, DType::U32, 1)?;
    x.exclusive(NAME)?;
    position.exclusive(NAME)?;
    let packs = batch * width / PACK;
    let parameters =
        [packs as u32, (width / PACK) as u32, vocabulary as u32, f32::NAN.to_bits(), gpu.fault_code(NAME), 0, 0, 0];
    gpu.dispatch(&Dispatch {
        operation: NAME,
        kernel: &shaders::EMBED,
        element: DType::F32,
        constants: &[],
        parameters: bytemuck::cast_slice(&parameters),
        buffers: &[table, tokens, x, position, &gpu.faults()?],
        workgroups: Workgroups::Linear(packs.div_ceil(64)),
        cost: Cost { flops: 0.0, bytes: 6.0 * (batch * width) as f64 },
    })
}
