//! Matrix products on the CPU.

use super::{Batch, Side};
use crate::DType;
use crate::device::Cpu;
use crate::device::cpu::float::Float;
use crate::device::cpu::gemm::{Layout, Sizes, product, product_parallel};
use crate::device::cpu::threads::for_items;
use crate::error::Result;
use crate::tensor::{Spec, Tensor};

pub(super) fn multiply(device: &Cpu, batch: Batch, left: Side, right: Side, output: Spec) -> Result<Tensor> {
    match output.dtype {
        DType::F64 => typed::<f64>(device, batch, left, right, output),
        _ => typed::<f32>(device, batch, left, right, output),
    }
}

fn typed<T: Float>(device: &Cpu, batch: Batch, left: Side, right: Side, output: Spec) -> Result<Tensor> {
    let Batch { count, rows, columns, depth, shared_right } = batch;
    let sizes = Sizes { rows, columns, depth };
    let (a, b) = (left.tensor.cpu::<T>("matmul")?, right.tensor.cpu::<T>("matmul")?);
    let stored = |transposed: bool, rows: usize, columns: usize| match transposed {
        false => Layout::row_major(columns),
        true => Layout::row_major(rows).transposed(),
    };
    let (left, right) = (stored(left.transposed, rows, depth), stored(right.transposed, depth, columns));
    let step = if shared_right { 0 } else { depth * columns };
    let layout = Layout::row_major(columns);
    Tensor::on_cpu(device, output.shape.sizes(), |out: &mut [T]| {
        if rows * columns == 0 {
            return;
        }
        if count == 1 {
            return product_parallel(sizes, T::ONE, (a, left), (b, right), T::ZERO, (out, layout));
        }
        let matrices: Vec<&mut [T]> = out.chunks_mut(rows * columns).collect();
        let worth_threads = count * rows * columns * depth > 1 << 18;
        for_items(matrices, worth_threads, |index, out| {
            let (a, b) = ((a, left.at(index * rows * depth)), (b, right.at(index * step)));
            product(sizes, T::ONE, a, b, T::ZERO, (out, layout));
        });
    })
}
