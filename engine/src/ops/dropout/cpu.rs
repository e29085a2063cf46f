//! Dropout on the CPU.

use super::{Dropout, NAME};
use crate::DType;
use crate::device::Device;
use crate::device::cpu::float::{Float, vectorized};
use crate::device::cpu::threads::for_rows;
use crate::error::{Error, Result};
use crate::tensor::Tensor;

/// Elements a counter decides on.
const FOUR: usize = 4;
/// Elementary steps that they cost.
const COST: usize = 48;

/// x where it is kept, scaled, and 0 elsewhere.
pub(super) fn masked(dropout: Dropout, x: &Tensor) -> Result<Tensor> {
    match x.dtype() {
        _ if dropout.threshold() == 0 => Ok(x.clone()),
        DType::F64 => typed::<f64>(dropout, x),
        _ => typed::<f32>(dropout, x),
    }
}

fn typed<T: Float>(dropout: Dropout, x: &Tensor) -> Result<Tensor> {
    let Device::Cpu(device) = x.device() else {
        return Err(Error::device(NAME, "expected CPU tensors"));
    };
    let (sizes, x) = (x.sizes(), x.cpu::<T>(NAME)?);
    let scale = T::from_f64(dropout.scale());
    Tensor::on_cpu(&device, sizes, |output: &mut [T]| {
        for_rows(output, FOUR, COST, |first, block| {
            vectorized(
                #[inline(always)]
                || {
                    let x = &x[first * FOUR..][..block.len()];
                    for ((counter, y), x) in (first as u64..).zip(block.chunks_mut(FOUR)).zip(x.chunks(FOUR)) {
                        let dropped = dropout.dropped(counter);
                        for ((y, &x), dropped) in y.iter_mut().zip(x).zip(dropped) {
                            *y = if dropped { T::ZERO } else { x * scale };
                        }
                    }
                },
            );
        });
    })
}
