//! Elementwise functions on a GPU: bindings and grids.

use bytemuck::{Pod, Zeroable};
use gradus_shaders::{Kernel, unary as shaders};

use super::Unary;
use crate::DType;
use crate::device::Gpu;
use crate::device::gpu::{Cost, Dispatch};
use crate::error::Result;
use crate::operation::Forward;
use crate::ops::packs::Packs;
use crate::tensor::Tensor;

#[derive(Clone, Copy, Pod, Zeroable)]
#[repr(C)]
struct Parameters {
    count: u32,
    constant: f32,
    whole: u32,
    infinity: f32,
    not_a_number: f32,
}

fn kernels(function: Unary) -> &'static shaders::Unary {
    match function {
        Unary::Sigmoid => &shaders::SIGMOID,
        Unary::SoftCap(_) => &shaders::SOFT_CAP,
        Unary::Tanh => &shaders::TANH,
        Unary::Exp => &shaders::EXP,
        Unary::Log => &shaders::LOG,
        Unary::Sqrt => &shaders::SQRT,
        Unary::Silu => &shaders::SILU,
        Unary::Gelu => &shaders::GELU,
        Unary::LogSigmoid => &shaders::LOG_SIGMOID,
        Unary::Softplus => &shaders::SOFTPLUS,
        Unary::Scale(_) => &shaders::SCALE,
        Unary::Square => &shaders::SQUARE,
        Unary::Power(_) => &shaders::POWER,
    }
}

fn dispatch(function: Unary, gpu: &Gpu, pair: &'static [Kernel; 2], buffers: &[&Tensor]) -> Result<()> {
    let elements = buffers[0].elements();
    let packs = Packs::of(elements);
    let constant = function.constant();
    let parameters = Parameters {
        count: packs.count as u32,
        constant: constant as f32,
        whole: match constant {
            c if c.fract() != 0.0 => 0,
            c if c % 2.0 == 0.0 => 1,
            _ => 2,
        },
        infinity: f32::INFINITY,
        not_a_number: f32::NAN,
    };
    gpu.dispatch(&Dispatch {
        operation: function.name(),
        kernel: packs.pick(pair),
        element: DType::F32,
        constants: &[],
        parameters: bytemuck::bytes_of(&parameters),
        buffers,
        workgroups: Packs::elementwise(packs.count),
        cost: Cost { flops: 8.0 * elements as f64, bytes: 4.0 * (buffers.len() * elements) as f64 },
    })
}

pub(super) fn forward(function: Unary, gpu: &Gpu, x: &Tensor) -> Result<Tensor> {
    let y = Tensor::on_gpu(gpu, function.name(), x.sizes(), DType::F32)?;
    dispatch(function, gpu, &kernels(function).forward, &[x, &y])?;
    Ok(y)
}

pub(super) fn backward(function: Unary, gpu: &Gpu, saved: &Tensor, d_y: &Tensor) -> Result<Tensor> {
    let d_x = Tensor::on_gpu(gpu, function.name(), d_y.sizes(), DType::F32)?;
    dispatch(function, gpu, &kernels(function).backward, &[saved, d_y, &d_x])?;
    Ok(d_x)
}
