//! The optimizer on a GPU: a kernel a tensor for the norm, one for the step state, a kernel a tensor for the update.

use bytemuck::{Pod, Zeroable, bytes_of};
use gradus_shaders::adamw as shaders;

use super::state::{Scalars, WORDS};
use super::{AdamW, Moments, NAME, Parameter, Report, ReportReading};
use crate::DType;
use crate::device::Gpu;
use crate::device::gpu::{Cost, Dispatch, Workgroups};
use crate::error::Result;
use crate::tensor::Tensor;

/// Elements a workgroup of `adamw/sum_of_squares` sums.
const SUMMED: usize = 256 * 32;
/// Elements a workgroup of `adamw/update` updates.
const UPDATED: usize = 256 * 4;

/// The step state and the partial sums.
#[derive(Debug)]
pub(super) struct Buffers {
    state: Tensor,
    partials: Tensor,
}

/// What a step works on.
pub(super) struct Tensors<'a> {
    pub weights: &'a [Tensor],
    pub gradients: &'a [Tensor],
    pub moments: &'a [Moments],
}

#[derive(Clone, Copy, Pod, Zeroable)]
#[repr(C)]
struct SumOfSquares {
    count: u32,
    first_partial: u32,
    tensor: u32,
    _align: u32,
}

#[derive(Clone, Copy, Pod, Zeroable)]
#[repr(C)]
struct Finish {
    count: u32,
    max_norm: f32,
    log_beta1: f32,
    log_beta2: f32,
}

#[derive(Clone, Copy, Pod, Zeroable)]
#[repr(C)]
struct Update {
    count: u32,
    weight_decay: f32,
    beta1: f32,
    beta2: f32,
    rest1: f32,
    rest2: f32,
    epsilon: f32,
    _align: u32,
}

impl Buffers {
    pub(super) fn new(gpu: &Gpu, parameters: &[Parameter]) -> Result<Self> {
        let partials = parameters.iter().map(|parameter| parameter.spec.shape.elements().div_ceil(SUMMED)).sum();
        let state = Report::default().words();
        Ok(Self {
            state: Tensor::new(&crate::Device::Gpu(gpu.clone()), &[WORDS], &state)?,
            partials: Tensor::on_gpu(gpu, NAME, &[partials, 2], DType::U32)?,
        })
    }

    pub(super) fn read(&self) -> Result<ReportReading> {
        Ok(ReportReading::Pending(self.state.read()?))
    }

    pub(super) fn write(&mut self, report: &Report) -> Result<()> {
        self.state.write(0, &report.words())
    }
}

pub(super) fn step(
    gpu: &Gpu,
    buffers: &mut Buffers,
    scalars: Scalars,
    options: &AdamW,
    parameters: &[Parameter],
    tensors: &Tensors,
) -> Result<()> {
    buffers.state.write(0, &scalars.words())?;
    let mut first_partial = 0;
    for (place, gradient) in tensors.gradients.iter().enumerate() {
        let count = gradient.elements();
        let groups = count.div_ceil(SUMMED);
        gpu.dispatch(&Dispatch {
            operation: NAME,
            kernel: &shaders::SUM_OF_SQUARES,
            element: DType::F32,
            constants: &[],
            parameters: bytes_of(&SumOfSquares {
                count: count as u32,
                first_partial: first_partial as u32,
                tensor: place as u32,
                _align: 0,
            }),
            buffers: &[gradient, &buffers.partials],
            workgroups: Workgroups::Linear(groups),
            cost: Cost { flops: 2.0 * count as f64, bytes: 4.0 * count as f64 },
        })?;
        first_partial += groups;
    }
    // ln 0 has no float; any power of 0 is 0, as e^-1e30 is.
    let log = |beta: f64| beta.ln().max(-1e30) as f32;
    gpu.dispatch(&Dispatch {
        operation: NAME,
        kernel: &shaders::FINISH,
        element: DType::F32,
        constants: &[],
        parameters: bytes_of(&Finish {
            count: first_partial as u32,
            max_norm: options.max_norm.map_or(f32::MAX, |norm| norm as f32),
            log_beta1: log(options.beta1),
            log_beta2: log(options.beta2),
        }),
        buffers: &[&buffers.partials, &buffers.state],
        workgroups: Workgroups::Linear(1),
        cost: Cost { flops: first_partial as f64, bytes: 8.0 * first_partial as f64 },
    })?;
    for ((parameter, weight), (gradient, moments)) in
        parameters.iter().zip(tensors.weights).zip(tensors.gradients.iter().zip(tensors.moments))
    {
        let count = weight.elements();
        gpu.dispatch(&Dispatch {
            operation: NAME,
            kernel: &shaders::UPDATE,
            element: DType::F32,
            constants: &[],
            parameters: bytes_of(&Update {
                count: count as u32,
                weight_decay: parameter.weight_decay as f32,
                beta1: options.beta1 as f32,
                beta2: options.beta2 as f32,
                rest1: (1.0 - options.beta1) as f32,
                rest2: (1.0 - options.beta2) as f32,
                epsilon: options.epsilon as f32,
                _align: 0,
            }),
            buffers: &[&buffers.state, gradient, weight, &moments.first, &moments.second],
            workgroups: Workgroups::Linear(count.div_ceil(UPDATED)),
            cost: Cost { flops: 15.0 * count as f64, bytes: 28.0 * count as f64 },
        })?;
    }
    Ok(())
}
