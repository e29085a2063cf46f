//! Permutation on the CPU: rows of y in fixed blocks, sixteen rows at a time where their elements are neighbours in x.

use super::{Axis, NAME};
use crate::device::Cpu;
use crate::device::cpu::threads::for_rows;
use crate::error::Result;
use crate::tensor::Tensor;
use crate::{DType, Element};

/// Rows moved together: their elements fill a cache line of x.
const TOGETHER: usize = 16;

pub(super) fn permute(cpu: &Cpu, x: &Tensor, axes: &[Axis]) -> Result<Tensor> {
    match x.dtype() {
        DType::F64 => typed::<f64>(cpu, x, axes),
        DType::U32 => typed::<u32>(cpu, x, axes),
        _ => typed::<f32>(cpu, x, axes),
    }
}

fn typed<T: Element>(cpu: &Cpu, x: &Tensor, axes: &[Axis]) -> Result<Tensor> {
    let [outer @ .., last] = axes else { return Ok(x.clone()) };
    let source = x.cpu::<T>(NAME)?;
    // Where a row of y starts in x.
    let start = |mut row: usize| {
        let mut place = 0;
        for axis in outer.iter().rev() {
            place += row % axis.size * axis.stride;
            row /= axis.size;
        }
        place
    };
    let neighbours = outer.last().filter(|axis| axis.stride == 1).map_or(1, |axis| axis.size);
    Tensor::on_cpu(cpu, &[x.elements()], |y: &mut [T]| {
        for_rows(y, last.size, last.size, |first, block| {
            let rows = block.len() / last.size;
            let mut row = 0;
            while row < rows {
                // Rows of one run of neighbours, no more than are left of it.
                let left = neighbours - (first + row) % neighbours;
                let together = left.min(TOGETHER).min(rows - row);
                let place = start(first + row);
                let target = &mut block[row * last.size..][..together * last.size];
                if last.stride == 1 {
                    target.copy_from_slice(&source[place..place + last.size]);
                } else {
                    for column in 0..last.size {
                        let source = &source[place + column * last.stride..][..together];
                        for (at, &value) in source.iter().enumerate() {
                            target[at * last.size + column] = value;
                        }
                    }
                }
                row += together;
            }
        });
    })
}
