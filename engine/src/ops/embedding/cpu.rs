//! The embedding on the CPU.

use super::NAME;
use crate::DType;
use crate::Device;
use crate::device::Cpu;
use crate::device::cpu::float::{Float, vectorized};
use crate::device::cpu::threads::for_rows;
use crate::error::{Error, Result};
use crate::tensor::{Spec, Tensor};

/// Long sums are added up in short ones of so many terms, so that rounding errors grow slowly.
const SHORT_SUM: usize = 32;

fn device(of: &Tensor) -> Result<Cpu> {
    match of.device() {
        Device::Cpu(cpu) => Ok(cpu),
        Device::Gpu(_) => Err(Error::device(NAME, "expected CPU tensors")),
    }
}

pub(super) fn forward(table: &Tensor, ids: &Tensor) -> Result<Tensor> {
    match table.dtype() {
        DType::F64 => gather::<f64>(table, ids),
        _ => gather::<f32>(table, ids),
    }
}

fn gather<T: Float>(table: &Tensor, ids: &Tensor) -> Result<Tensor> {
    let (vocabulary, width) = (table.sizes()[0], table.sizes()[1]);
    let sizes: Vec<usize> = ids.sizes().iter().copied().chain([width]).collect();
    let cpu = device(table)?;
    let (table, ids) = (table.cpu::<T>(NAME)?, below(ids.cpu::<u32>(NAME)?, vocabulary)?);
    Tensor::on_cpu(&cpu, &sizes, |output: &mut [T]| {
        for_rows(output, width, width, |first, block| {
            for (row, &id) in block.chunks_mut(width).zip(&ids[first..]) {
                row.copy_from_slice(&table[id as usize * width..][..width]);
            }
        });
    })
}

/// The ids, if all are below `vocabulary`.
fn below(ids: &[u32], vocabulary: usize) -> Result<&[u32]> {
    match ids.iter().position(|&id| id as usize >= vocabulary) {
        None => Ok(ids),
        Some(place) => {
            let message =
                format!("index {} is not below {vocabulary}, the table's rows; it is id number {place}", ids[place]);
            Err(Error::index(NAME, message))
        }
    }
}

pub(super) fn backward(table: &Spec, ids: &Tensor, dy: &Tensor) -> Result<Tensor> {
    match table.dtype {
        DType::F64 => scatter::<f64>(table, ids, dy),
        _ => scatter::<f32>(table, ids, dy),
    }
}

fn scatter<T: Float>(table: &Spec, ids: &Tensor, dy: &Tensor) -> Result<Tensor> {
    let (vocabulary, width) = (table.shape.sizes()[0], table.shape.sizes()[1]);
    let cpu = device(dy)?;
    let (ids, dy) = (below(ids.cpu::<u32>(NAME)?, vocabulary)?, dy.cpu::<T>(NAME)?);
    let (starts, order) = sorted(ids, vocabulary);
    let mean = ids.len() / vocabulary.max(1) + 1;
    Tensor::on_cpu(&cpu, table.shape.sizes(), |output: &mut [T]| {
        for_rows(output, width, width * mean, |first, block| {
            let mut partial = vec![T::ZERO; width];
            for (id, row) in (first..).zip(block.chunks_mut(width)) {
                let places = &order[starts[id]..starts[id + 1]];
                vectorized(
                    #[inline(always)]
                    || {
                        row.fill(T::ZERO);
                        for places in places.chunks(SHORT_SUM) {
                            partial.fill(T::ZERO);
                            for &place in places {
                                let dy = &dy[place as usize * width..][..width];
                                partial.iter_mut().zip(dy).for_each(|(sum, &d)| *sum += d);
                            }
                            row.iter_mut().zip(&partial).for_each(|(sum, &part)| *sum += part);
                        }
                    },
                );
            }
        });
    })
}

/// A stable counting sort: the places of id v are `order[starts[v]..starts[v + 1]]`, ascending.
fn sorted(ids: &[u32], vocabulary: usize) -> (Vec<usize>, Vec<u32>) {
    let mut starts = vec![0; vocabulary + 1];
    for &id in ids {
        starts[id as usize + 1] += 1;
    }
    for id in 0..vocabulary {
        starts[id + 1] += starts[id];
    }
    let (mut next, mut order) = (starts.clone(), vec![0; ids.len()]);
    for (place, &id) in (0..).zip(ids) {
        order[next[id as usize]] = place;
        next[id as usize] += 1;
    }
    (starts, order)
}
