//! The rotation on the CPU.

use super::{Direction, Rotary};
use crate::device::Cpu;
use crate::device::cpu::float::{Float, vectorized};
use crate::device::cpu::threads::for_rows;
use crate::error::{Error, Result};
use crate::tensor::Tensor;
use crate::{DType, Device};

pub(super) fn rotate(rotary: &Rotary, x: &Tensor, direction: Direction) -> Result<Tensor> {
    let Device::Cpu(device) = x.device() else {
        return Err(Error::device("rotary", "expected a CPU tensor"));
    };
    match x.dtype() {
        DType::F64 => typed(rotary, &device, x, rotary.tables.exact(), direction),
        _ => typed(rotary, &device, x, rotary.tables.single(), direction),
    }
}

fn typed<T: Float>(rotary: &Rotary, device: &Cpu, x: &Tensor, table: &[T], direction: Direction) -> Result<Tensor> {
    let &[_, sequence, heads, head_dim] = x.sizes() else { return Err(super::wrong_rank(x.shape())) };
    let (half, width, first_row) = (head_dim / 2, heads * head_dim, rotary.first_row());
    let sign = if direction == Direction::Forward { T::ONE } else { -T::ONE };
    let input = x.cpu::<T>("rotary")?;
    Tensor::on_cpu(device, x.sizes(), |output: &mut [T]| {
        for_rows(output, width, width, |first, block| {
            let input = &input[first * width..][..block.len()];
            let rows = block.chunks_exact_mut(width).zip(input.chunks_exact(width));
            for (row, (out, x)) in (first..).zip(rows) {
                let angles = &table[(first_row + row % sequence) * head_dim..][..head_dim];
                let (cosines, sines) = angles.split_at(half);
                vectorized(
                    #[inline(always)]
                    || {
                        for (out, x) in out.chunks_exact_mut(head_dim).zip(x.chunks_exact(head_dim)) {
                            let (out_low, out_high) = out.split_at_mut(half);
                            let (low, high) = x.split_at(half);
                            for j in 0..half {
                                let (cosine, sine) = (cosines[j], sign * sines[j]);
                                out_low[j] = low[j] * cosine - high[j] * sine;
                                out_high[j] = high[j] * cosine + low[j] * sine;
                            }
                        }
                    },
                );
            }
        });
    })
}
