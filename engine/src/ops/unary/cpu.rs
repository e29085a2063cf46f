//! Elementwise functions on the CPU.

use super::Unary;
use crate::DType;
use crate::device::Device;
use crate::device::cpu::float::{Float, vectorized};
use crate::device::cpu::threads::for_rows;
use crate::error::{Error, Result};
use crate::operation::Forward;
use crate::tensor::Tensor;

/// Elementary steps that the dearest of them cost.
const COST: usize = 16;

pub(super) fn forward(function: Unary, x: &Tensor) -> Result<Tensor> {
    match x.dtype() {
        DType::F64 => values::<f64>(function, x),
        _ => values::<f32>(function, x),
    }
}

pub(super) fn backward(function: Unary, saved: &Tensor, d_y: &Tensor) -> Result<Tensor> {
    match saved.dtype() {
        DType::F64 => slopes::<f64>(function, saved, d_y),
        _ => slopes::<f32>(function, saved, d_y),
    }
}

/// 2u of GELU's tanh form, and its derivative.
#[inline(always)]
fn gelu_argument<T: Float>(x: T) -> (T, T) {
    let two_root = T::from_f64(2.0 * (2.0 / std::f64::consts::PI).sqrt());
    let square = T::from_f64(0.044715) * x * x;
    (two_root * x * (T::ONE + square), two_root * (T::ONE + T::from_f64(3.0) * square))
}

/// 1 − tanh² x = 4e / (1 + e)² with e = e^−2|x|, which does not cancel.
#[inline(always)]
fn tanh_slope<T: Float>(x: T) -> T {
    let e = (T::from_f64(-2.0) * x.abs()).exp();
    let sum = T::ONE + e;
    T::from_f64(4.0) * e / (sum * sum)
}

/// x^c; for x < 0 where c is a whole number. One of up to 64 is reached by squaring, whatever the sign of x; for others the
/// power of |x| is taken and the sign put back.
#[inline(always)]
fn raised<T: Float>(x: T, c: f64) -> T {
    let whole = c.fract() == 0.0;
    if whole && c.abs() <= 64.0 {
        let (mut n, mut factor, mut result) = (c.abs() as u32, x, T::ONE);
        while n > 0 {
            if n % 2 == 1 {
                result *= factor;
            }
            factor *= factor;
            n /= 2;
        }
        return if c < 0.0 { T::ONE / result } else { result };
    }
    if !whole {
        return (T::from_f64(c) * x.ln()).exp();
    }
    let magnitude = (T::from_f64(c) * x.abs().ln()).exp();
    if x < T::ZERO && c % 2.0 != 0.0 { -magnitude } else { magnitude }
}

fn values<T: Float>(function: Unary, x: &Tensor) -> Result<Tensor> {
    let c = T::from_f64(function.constant());
    match function {
        Unary::Sigmoid => map::<T>(function, x, move |x| x.sigmoid()),
        Unary::SoftCap(_) => map::<T>(function, x, move |x| c * (x / c).tanh()),
        Unary::Tanh => map::<T>(function, x, move |x| x.tanh()),
        Unary::Exp => map::<T>(function, x, move |x| x.exp()),
        Unary::Log => map::<T>(function, x, move |x| x.ln()),
        Unary::Sqrt => map::<T>(function, x, move |x| x.sqrt()),
        Unary::Silu => map::<T>(function, x, move |x| x * x.sigmoid()),
        Unary::Gelu => map::<T>(function, x, move |x| x * gelu_argument(x).0.sigmoid()),
        Unary::LogSigmoid => map::<T>(function, x, move |x| x.log_sigmoid()),
        Unary::Softplus => map::<T>(function, x, move |x| x.max(T::ZERO) + (-x.abs()).exp().ln_1p_unit()),
        Unary::Scale(_) => map::<T>(function, x, move |x| c * x),
        Unary::Square => map::<T>(function, x, move |x| x * x),
        Unary::Power(c) => map::<T>(function, x, move |x| raised(x, c)),
    }
}

fn slopes<T: Float>(function: Unary, saved: &Tensor, d_y: &Tensor) -> Result<Tensor> {
    let (c, one) = (T::from_f64(function.constant()), T::ONE);
    let (half, two) = (T::from_f64(0.5), T::from_f64(2.0));
    match function {
        Unary::Sigmoid => multiply::<T>(function, saved, d_y, move |x| {
            let e = (-x.abs()).exp();
            e / ((one + e) * (one + e))
        }),
        Unary::SoftCap(_) => multiply::<T>(function, saved, d_y, move |x| tanh_slope(x / c)),
        Unary::Tanh => multiply::<T>(function, saved, d_y, move |x| tanh_slope(x)),
        Unary::Exp => multiply::<T>(function, saved, d_y, move |y| y),
        Unary::Log => multiply::<T>(function, saved, d_y, move |x| one / x),
        Unary::Sqrt => multiply::<T>(function, saved, d_y, move |y| half / y),
        Unary::Silu => multiply::<T>(function, saved, d_y, move |x| x.sigmoid() * (one + x * (-x).sigmoid())),
        Unary::Gelu => multiply::<T>(function, saved, d_y, move |x| {
            // From |x| = 30 on the slope is 0 or 1, and the products below would be infinity times 0.
            let x = x.max(T::from_f64(-30.0)).min(T::from_f64(30.0));
            let (argument, slope) = gelu_argument(x);
            argument.sigmoid() * (one + x * (-argument).sigmoid() * slope)
        }),
        Unary::LogSigmoid => multiply::<T>(function, saved, d_y, move |x| (-x).sigmoid()),
        Unary::Softplus => multiply::<T>(function, saved, d_y, move |x| x.sigmoid()),
        Unary::Scale(_) => multiply::<T>(function, saved, d_y, move |_| c),
        Unary::Square => multiply::<T>(function, saved, d_y, move |x| two * x),
        Unary::Power(0.0) => multiply::<T>(function, saved, d_y, move |_| T::ZERO),
        Unary::Power(exponent) => multiply::<T>(function, saved, d_y, move |x| c * raised(x, exponent - 1.0)),
    }
}

fn map<T: Float>(function: Unary, x: &Tensor, of: impl Fn(T) -> T + Copy + Sync) -> Result<Tensor> {
    multiply_or_map(
        function,
        x,
        None,
        #[inline(always)]
        move |x, _| of(x),
    )
}

fn multiply<T: Float>(
    function: Unary,
    saved: &Tensor,
    d_y: &Tensor,
    slope: impl Fn(T) -> T + Copy + Sync,
) -> Result<Tensor> {
    multiply_or_map(
        function,
        saved,
        Some(d_y),
        #[inline(always)]
        move |saved, d_y| d_y * slope(saved),
    )
}

/// of(x, other) element by element; without another tensor, x stands for it.
fn multiply_or_map<T: Float>(
    function: Unary,
    x: &Tensor,
    other: Option<&Tensor>,
    of: impl Fn(T, T) -> T + Copy + Sync,
) -> Result<Tensor> {
    let Device::Cpu(cpu) = x.device() else {
        return Err(Error::device(function.name(), "expected CPU tensors"));
    };
    let sizes = x.sizes();
    let other = other.unwrap_or(x).cpu::<T>(function.name())?;
    let x = x.cpu::<T>(function.name())?;
    Tensor::on_cpu(&cpu, sizes, |output: &mut [T]| {
        for_rows(output, 1, COST, |first, block| {
            let (x, other) = (&x[first..][..block.len()], &other[first..][..block.len()]);
            vectorized(
                // By value: a constant behind a reference would have to be read again after each write.
                #[inline(always)]
                move || {
                    for ((out, &x), &other) in block.iter_mut().zip(x).zip(other) {
                        *out = of(x, other);
                    }
                },
            );
        });
    })
}
