//! The choice on a GPU: bindings and grid.

use bytemuck::{Pod, Zeroable, bytes_of};
use gradus_shaders::sampling as shaders;

use super::{Chosen, NAME, Options};
use crate::DType;
use crate::device::Gpu;
use crate::device::gpu::{Cost, Dispatch, Workgroups};
use crate::error::Result;
use crate::tensor::Tensor;

#[derive(Clone, Copy, Pod, Zeroable)]
#[repr(C)]
struct Parameters {
    rows: u32,
    vocabulary: u32,
    words: u32,
    greedy: u32,
    top_k: u32,
    top_p: f32,
    inverse_temperature: f32,
    penalty: f32,
}

pub(super) fn choose(
    gpu: &Gpu,
    options: Options,
    state: &mut Tensor,
    logits: &Tensor,
    given: &Tensor,
) -> Result<Chosen> {
    state.exclusive(NAME)?;
    let (rows, vocabulary) = (logits.sizes()[0], logits.sizes()[1]);
    let greedy = options.temperature == 0.0;
    let tokens = Tensor::on_gpu(gpu, NAME, &[rows], DType::U32)?;
    let reports = Tensor::on_gpu(gpu, NAME, &[rows], DType::U32)?;
    let parameters = Parameters {
        rows: rows as u32,
        vocabulary: vocabulary as u32,
        words: state.sizes()[1] as u32,
        greedy: u32::from(greedy),
        top_k: options.top_k.unwrap_or(vocabulary).min(vocabulary) as u32,
        top_p: options.top_p as f32,
        inverse_temperature: if greedy { 1.0 } else { (1.0 / options.temperature) as f32 },
        penalty: options.repetition_penalty as f32,
    };
    if greedy && options.repetition_penalty == 1.0 {
        lead(gpu, parameters, [logits, given, state, &tokens, &reports])?;
        return Ok(Chosen { tokens, reports });
    }
    let passes = 5 + 32 * (u32::from(options.top_k.is_some()) + u32::from(options.top_p < 1.0));
    let elements = (rows * vocabulary) as f64;
    gpu.dispatch(&Dispatch {
        operation: NAME,
        kernel: &shaders::CHOOSE,
        element: DType::F32,
        constants: &[("SPAN", 256)],
        parameters: bytes_of(&parameters),
        buffers: &[logits, given, state, &tokens, &reports],
        workgroups: Workgroups::Linear(rows),
        cost: Cost { flops: 8.0 * f64::from(passes) * elements, bytes: 4.0 * elements },
    })?;
    Ok(Chosen { tokens, reports })
}

/// Logits of one stretch, as in sampling/leaders.wgsl.
const STRETCH: usize = 1024;

/// The likeliest tokens: of stretches of each row side by side, then of these.
fn lead(gpu: &Gpu, parameters: Parameters, [logits, given, state, tokens, reports]: [&Tensor; 5]) -> Result<()> {
    let rows = parameters.rows as usize;
    let stretches = (parameters.vocabulary as usize).div_ceil(STRETCH);
    let leaders = Tensor::on_gpu(gpu, NAME, &[rows, stretches, 3], DType::U32)?;
    let elements = logits.elements() as f64;
    gpu.dispatch(&Dispatch {
        operation: NAME,
        kernel: &shaders::LEADERS,
        element: DType::F32,
        constants: &[("SPAN", 256)],
        parameters: bytemuck::cast_slice(&[parameters.rows, parameters.vocabulary, stretches as u32, 0]),
        buffers: &[logits, &leaders],
        workgroups: Workgroups::Linear(rows * stretches),
        cost: Cost { flops: 2.0 * elements, bytes: 4.0 * elements },
    })?;
    gpu.dispatch(&Dispatch {
        operation: NAME,
        kernel: &shaders::LEAD,
        element: DType::F32,
        constants: &[("SPAN", 256)],
        parameters: bytemuck::cast_slice(&[parameters.rows, stretches as u32, parameters.words, 0]),
        buffers: &[&leaders, given, state, tokens, reports],
        workgroups: Workgroups::Linear(rows),
        cost: Cost { flops: 2.0 * (rows * stretches) as f64, bytes: 12.0 * (rows * stretches) as f64 },
    })
}
