//! The optimizer on a GPU.
//!
//! Each tensor is a buffer of its own and a kernel binds seven, so that a dispatch a tensor is what comes by itself, once for
//! the norm and once for the update. Large tensors are worth that. Small ones, of which a model has many, share dispatches: six
//! for the norm, and two for the update, whose two moments are one buffer for this.

use bytemuck::{Pod, Zeroable, bytes_of};
use gradus_shaders::adamw as shaders;

use super::state::{NEXT_SCALE, Scalars, WORDS};
use super::{AdamW, Moments, NAME, Parameter, Report, ReportReading};
use crate::DType;
use crate::device::gpu::{Cost, Dispatch, Workgroups};
use crate::device::{Device, Gpu};
use crate::error::{Error, Result};
use crate::tensor::{Spec, Tensor, copy_range};

/// Elements a workgroup of `adamw/sum_of_squares` sums.
const SUMMED: usize = 256 * 32;
/// Elements a workgroup of `adamw/update` updates.
const UPDATED: usize = 256 * 4;
/// Gradients that `adamw/sum_of_squares_six` takes.
const TOGETHER: usize = 6;
/// Tensors of fewer elements are small: a large GPU updates them in the time that a dispatch takes by itself.
const SMALL: usize = 1 << 20;

/// The step state, the next loss scale, the partial sums and the moments.
#[derive(Debug)]
pub(super) struct Buffers {
    gpu: Gpu,
    state: Tensor,
    scale: Tensor,
    partials: Tensor,
    /// Bound where a kernel for several tensors has fewer.
    unused: Tensor,
    moments: Vec<Kept>,
    updates: Vec<Update>,
}

/// The moments of a tensor.
#[derive(Debug)]
enum Kept {
    Apart(Moments),
    /// [2, count]: the first, then the second.
    Joined(Tensor),
}

/// A dispatch of the update: the places of its tensors.
#[derive(Debug, Clone, Copy)]
enum Update {
    One(usize),
    Two([usize; 2]),
}

/// What a step works on.
pub(super) struct Tensors<'a> {
    pub weights: &'a [Tensor],
    pub gradients: &'a [Tensor],
}

#[derive(Clone, Copy, Pod, Zeroable)]
#[repr(C)]
struct SumOfSquares {
    blocks: u32,
    first_partial: u32,
    count: u32,
    tensor: u32,
}

#[derive(Clone, Copy, Pod, Zeroable)]
#[repr(C)]
struct SumOfSix {
    blocks: u32,
    first_partial: u32,
    _align: [u32; 2],
    ends: [u32; 8],
    counts: [u32; 8],
    tensors: [u32; 8],
}

#[derive(Clone, Copy, Pod, Zeroable)]
#[repr(C)]
struct Finish {
    count: u32,
    max_norm: f32,
    log_beta1: f32,
    log_beta2: f32,
    interval: u32,
    _align: [u32; 3],
}

#[derive(Clone, Copy, Pod, Zeroable)]
#[repr(C)]
struct Rule {
    beta1: f32,
    beta2: f32,
    rest1: f32,
    rest2: f32,
    epsilon: f32,
}

#[derive(Clone, Copy, Pod, Zeroable)]
#[repr(C)]
struct UpdateOne {
    rule: Rule,
    count: u32,
    weight_decay: f32,
    _align: u32,
}

#[derive(Clone, Copy, Pod, Zeroable)]
#[repr(C)]
struct UpdateTwo {
    rule: Rule,
    split: u32,
    counts: [u32; 2],
    weight_decay: [f32; 2],
    _align: [u32; 2],
}

impl Buffers {
    pub(super) fn new(gpu: &Gpu, parameters: &[Parameter]) -> Result<Self> {
        let device = Device::Gpu(gpu.clone());
        let count = |place: usize| parameters[place].spec.shape.elements();
        // Both moments of a small tensor are one buffer, for which a device may have too little room.
        let joins = |count: usize| count < SMALL && (2 * count * DType::F32.bytes()) as u64 <= gpu.most_bytes();
        let (small, large): (Vec<usize>, Vec<usize>) = (0..parameters.len()).partition(|&place| joins(count(place)));
        let updates: Vec<Update> = large
            .into_iter()
            .map(Update::One)
            .chain(small.chunks(2).map(|pair| match *pair {
                [one, other] => Update::Two([one, other]),
                _ => Update::One(pair[0]),
            }))
            .collect();
        let joined =
            |place: usize| updates.iter().any(|update| matches!(update, Update::Two(two) if two.contains(&place)));
        let moments = parameters.iter().enumerate().map(|(place, parameter)| {
            let zeros = || Tensor::zeros(&device, parameter.spec);
            if !joined(place) {
                return Ok(Kept::Apart(Moments { first: zeros()?, second: zeros()? }));
            }
            Tensor::zeros(&device, Spec::new(&[2, count(place)], DType::F32)?).map(Kept::Joined)
        });
        let moments = moments.collect::<Result<_>>()?;
        let partials = (0..parameters.len()).map(|place| count(place).div_ceil(SUMMED)).sum();
        let state = Report::default().words();
        Ok(Self {
            gpu: gpu.clone(),
            state: Tensor::new(&device, &[WORDS], &state)?,
            scale: Tensor::new(&device, &[1], &[1f32])?,
            partials: Tensor::on_gpu(gpu, NAME, &[partials, 2], DType::U32)?,
            unused: Tensor::zeros(&device, Spec::new(&[1], DType::F32)?)?,
            moments,
            updates,
        })
    }

    pub(super) fn read(&self) -> Result<ReportReading> {
        Ok(ReportReading::Pending(self.state.read()?))
    }

    pub(super) fn scale(&self) -> Tensor {
        self.scale.clone()
    }

    pub(super) fn set_scale(&mut self, scale: f64, in_a_row: u64) -> Result<()> {
        let word = (scale as f32).to_bits();
        self.state.write(NEXT_SCALE, &[word, in_a_row as u32])?;
        self.scale = Tensor::new(&Device::Gpu(self.gpu.clone()), &[1], &[scale as f32])?;
        Ok(())
    }

    pub(super) fn moments(&self, place: usize, spec: Spec) -> Result<Moments> {
        match self.moments.get(place) {
            Some(Kept::Apart(moments)) => Ok(moments.clone()),
            Some(Kept::Joined(both)) => {
                let count = spec.shape.elements();
                let half = |first: usize| {
                    let mut moment = Tensor::on_gpu(&self.gpu, NAME, spec.shape.sizes(), spec.dtype)?;
                    copy_range(&mut moment, 0, both, first, count).map(|()| moment)
                };
                Ok(Moments { first: half(0)?, second: half(count)? })
            }
            None => Err(Error::shape(NAME, format!("there is no parameter {place}"))),
        }
    }

    pub(super) fn restore(&mut self, report: &Report, moments: &[Moments]) -> Result<()> {
        let device = Device::Gpu(self.gpu.clone());
        let copy = |(kept, moments): (&Kept, &Moments)| {
            let (first, second) = (moments.first.to_vec::<f32>()?, moments.second.to_vec::<f32>()?);
            let new = |sizes: &[usize], data: &[f32]| Tensor::new(&device, sizes, data);
            Ok(match kept {
                Kept::Apart(_) => Kept::Apart(Moments {
                    first: new(moments.first.sizes(), &first)?,
                    second: new(moments.second.sizes(), &second)?,
                }),
                Kept::Joined(both) => Kept::Joined(new(both.sizes(), &[first, second].concat())?),
            })
        };
        self.moments = self.moments.iter().zip(moments).map(copy).collect::<Result<_>>()?;
        self.state.write(0, &report.words())?;
        self.set_scale(report.next_loss_scale, report.in_a_row)
    }
}

pub(super) fn step(
    gpu: &Gpu,
    buffers: &mut Buffers,
    scalars: Scalars,
    (options, interval): (&AdamW, u64),
    parameters: &[Parameter],
    tensors: &Tensors,
) -> Result<()> {
    buffers.state.write(0, &scalars.words())?;
    // Who still holds this step's scale keeps it.
    if buffers.scale.exclusive(NAME).is_err() {
        buffers.scale = Tensor::on_gpu(gpu, NAME, &[1], DType::F32)?;
    }
    let partials = sum_squares(gpu, buffers, tensors.gradients)?;
    // ln 0 has no float; any power of 0 is 0, as e^-1e30 is.
    let log = |beta: f64| beta.ln().max(-1e30) as f32;
    gpu.dispatch(&Dispatch {
        operation: NAME,
        kernel: &shaders::FINISH,
        element: DType::F32,
        constants: &[],
        parameters: bytes_of(&Finish {
            count: partials as u32,
            max_norm: options.max_norm.map_or(f32::MAX, |norm| norm as f32),
            log_beta1: log(options.beta1),
            log_beta2: log(options.beta2),
            interval: interval as u32,
            _align: [0; 3],
        }),
        buffers: &[&buffers.partials, &buffers.state, &buffers.scale],
        workgroups: Workgroups::Linear(1),
        cost: Cost { flops: partials as f64, bytes: 8.0 * partials as f64 },
    })?;
    for update in &buffers.updates {
        match *update {
            Update::One(place) => update_one(gpu, buffers, options, parameters, tensors, place)?,
            Update::Two(places) => update_two(gpu, buffers, options, parameters, tensors, places)?,
        }
    }
    Ok(())
}

/// The partial sums of all gradients, and how many there are: large ones by themselves, small ones together.
fn sum_squares(gpu: &Gpu, buffers: &Buffers, gradients: &[Tensor]) -> Result<usize> {
    let mut first_partial = 0;
    let dispatch = |kernel, parameters: &[u8], bound: &[&Tensor], groups: usize, count: usize| {
        gpu.dispatch(&Dispatch {
            operation: NAME,
            kernel,
            element: DType::F32,
            constants: &[],
            parameters,
            buffers: bound,
            workgroups: Workgroups::Linear(groups),
            cost: Cost { flops: 2.0 * count as f64, bytes: 4.0 * count as f64 },
        })
    };
    let places = || gradients.iter().map(Tensor::elements).enumerate();
    for (place, count) in places().filter(|&(_, count)| count >= SMALL) {
        let blocks = count.div_ceil(SUMMED);
        let parameters = SumOfSquares {
            blocks: blocks as u32,
            first_partial: first_partial as u32,
            count: count as u32,
            tensor: place as u32,
        };
        let bound = [&buffers.partials, &gradients[place]];
        dispatch(&shaders::SUM_OF_SQUARES, bytes_of(&parameters), &bound, blocks, count)?;
        first_partial += blocks;
    }
    let small: Vec<(usize, usize)> = places().filter(|&(_, count)| count < SMALL).collect();
    for six in small.chunks(TOGETHER) {
        let mut parameters = SumOfSix { first_partial: first_partial as u32, ..SumOfSix::zeroed() };
        let mut bound = vec![&buffers.partials];
        for slot in 0..TOGETHER {
            let (place, count) = six.get(slot).copied().unwrap_or((0, 0));
            parameters.blocks += count.div_ceil(SUMMED) as u32;
            parameters.ends[slot] = parameters.blocks;
            parameters.counts[slot] = count as u32;
            parameters.tensors[slot] = place as u32;
            bound.push(six.get(slot).map_or(&buffers.unused, |&(place, _)| &gradients[place]));
        }
        let blocks = parameters.blocks as usize;
        let elements = six.iter().map(|(_, count)| count).sum();
        dispatch(&shaders::SUM_OF_SIX, bytes_of(&parameters), &bound, blocks, elements)?;
        first_partial += blocks;
    }
    Ok(first_partial)
}

fn rule(options: &AdamW) -> Rule {
    Rule {
        beta1: options.beta1 as f32,
        beta2: options.beta2 as f32,
        rest1: (1.0 - options.beta1) as f32,
        rest2: (1.0 - options.beta2) as f32,
        epsilon: options.epsilon as f32,
    }
}

fn cost(elements: usize) -> Cost {
    Cost { flops: 15.0 * elements as f64, bytes: 28.0 * elements as f64 }
}

fn update_one(
    gpu: &Gpu,
    buffers: &Buffers,
    options: &AdamW,
    parameters: &[Parameter],
    tensors: &Tensors,
    place: usize,
) -> Result<()> {
    let (weight, gradient) = (&tensors.weights[place], &tensors.gradients[place]);
    let Kept::Apart(moments) = &buffers.moments[place] else {
        return Err(Error::shape(NAME, format!("the moments of parameter {place} are joined")));
    };
    let count = weight.elements();
    gpu.dispatch(&Dispatch {
        operation: NAME,
        kernel: &shaders::UPDATE,
        element: DType::F32,
        constants: &[],
        parameters: bytes_of(&UpdateOne {
            rule: rule(options),
            count: count as u32,
            weight_decay: parameters[place].weight_decay as f32,
            _align: 0,
        }),
        buffers: &[&buffers.state, gradient, weight, &moments.first, &moments.second],
        workgroups: Workgroups::Linear(count.div_ceil(UPDATED)),
        cost: cost(count),
    })
}

fn update_two(
    gpu: &Gpu,
    buffers: &Buffers,
    options: &AdamW,
    parameters: &[Parameter],
    tensors: &Tensors,
    places: [usize; 2],
) -> Result<()> {
    let mut bound = vec![&buffers.state];
    for place in places {
        let Kept::Joined(moments) = &buffers.moments[place] else {
            return Err(Error::shape(NAME, format!("the moments of parameter {place} are apart")));
        };
        bound.extend([&tensors.gradients[place], &tensors.weights[place], moments]);
    }
    let counts = places.map(|place| tensors.weights[place].elements());
    let groups = counts.map(|count| count.div_ceil(UPDATED));
    gpu.dispatch(&Dispatch {
        operation: NAME,
        kernel: &shaders::UPDATE_TWO,
        element: DType::F32,
        constants: &[],
        parameters: bytes_of(&UpdateTwo {
            rule: rule(options),
            split: groups[0] as u32,
            counts: counts.map(|count| count as u32),
            weight_decay: places.map(|place| parameters[place].weight_decay as f32),
            _align: [0; 2],
        }),
        buffers: &bound,
        workgroups: Workgroups::Linear(groups[0] + groups[1]),
        cost: cost(counts[0] + counts[1]),
    })
}
