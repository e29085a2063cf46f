//! Casts on the CPU.

use half::f16;
use half::slice::HalfFloatSliceExt;

use super::NAME;
use crate::device::Cpu;
use crate::device::cpu::threads::for_rows;
use crate::error::{Error, Result};
use crate::tensor::Tensor;
use crate::{DType, Element};

pub(super) fn convert(cpu: &Cpu, x: &Tensor, to: DType) -> Result<Tensor> {
    match (x.dtype(), to) {
        (DType::F32, DType::F64) => map(cpu, x, |y: &mut [f64], x: &[f32]| each_of(y, x, f64::from)),
        (DType::F32, DType::F16) => map(cpu, x, |y: &mut [f16], x: &[f32]| y.convert_from_f32_slice(x)),
        (DType::F64, DType::F32) => map(cpu, x, |y: &mut [f32], x: &[f64]| each_of(y, x, |x| x as f32)),
        (DType::F64, DType::F16) => map(cpu, x, |y: &mut [f16], x: &[f64]| each_of(y, x, half_of)),
        (DType::F16, DType::F32) => map(cpu, x, |y: &mut [f32], x: &[f16]| x.convert_to_f32_slice(y)),
        (DType::F16, DType::F64) => map(cpu, x, |y: &mut [f64], x: &[f16]| x.convert_to_f64_slice(y)),
        (DType::U32, DType::F32) => map(cpu, x, |y: &mut [f32], x: &[u32]| each_of(y, x, |x| x as f32)),
        (DType::U32, DType::F64) => map(cpu, x, |y: &mut [f64], x: &[u32]| each_of(y, x, f64::from)),
        (DType::U32, DType::F16) => map(cpu, x, |y: &mut [f16], x: &[u32]| each_of(y, x, |x| half_of(f64::from(x)))),
        (from, to) => Err(Error::dtype(NAME, format!("{from} {:?} cannot become {to}", x.shape()))),
    }
}

/// Elementary steps that an element costs.
const COST: usize = 2;

fn map<T: Element, U: Element>(cpu: &Cpu, x: &Tensor, of: impl Fn(&mut [U], &[T]) + Sync) -> Result<Tensor> {
    let source = x.cpu::<T>(NAME)?;
    Tensor::on_cpu(cpu, x.sizes(), |y: &mut [U]| {
        for_rows(y, 1, COST, |first, y| of(y, &source[first..][..y.len()]));
    })
}

fn each_of<T: Copy, U>(y: &mut [U], x: &[T], of: impl Fn(T) -> U) {
    y.iter_mut().zip(x).for_each(|(y, &x)| *y = of(x));
}

/// The nearest f16. By way of f32, since processors have no other; that is rounded to odd, so that its last bit remembers
/// what was cut off and nothing is rounded twice.
fn half_of(x: f64) -> f16 {
    let nearest = x as f32;
    if x.is_nan() || f64::from(nearest) == x {
        return f16::from_f32(nearest);
    }
    let beyond = u32::from(f64::from(nearest).abs() > x.abs());
    f16::from_f32(f32::from_bits((nearest.to_bits() - beyond) | 1))
}
