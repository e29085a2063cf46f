//! Reductions on a GPU: bindings and grids. Where rows or columns are too few to keep a large GPU busy they are cut into
//! segments, whose results are then reduced in turn.

use bytemuck::{Pod, Zeroable, bytes_of};
use gradus_shaders::{Constant, Kernel, reduction as shaders};

use super::Stage;
use crate::DType;
use crate::device::Gpu;
use crate::device::gpu::{Cost, Dispatch, Workgroups};
use crate::error::Result;
use crate::ops::packs::Packs;
use crate::tensor::{Spec, Tensor};

/// Elements a segment has at least: enough work for a workgroup.
const SEGMENT: usize = 4096;
/// Workgroups that keep a large GPU busy.
const ENOUGH: usize = 1024;
/// Invocations a workgroup.
const INVOCATIONS: usize = 256;

#[derive(Clone, Copy, Pod, Zeroable)]
#[repr(C)]
struct SumRows {
    parts: u32,
    packs: u32,
    segments: u32,
    length: u32,
    factor: f32,
}

#[derive(Clone, Copy, Pod, Zeroable)]
#[repr(C)]
struct MaxRows {
    parts: u32,
    length_of_row: u32,
    segments: u32,
    length: u32,
    divisor: u32,
    modulus: u32,
}

#[derive(Clone, Copy, Pod, Zeroable)]
#[repr(C)]
struct Columns {
    columns: u32,
    tiles: u32,
    n: u32,
    inner: u32,
    segments: u32,
    length: u32,
    factor: f32,
    divisor: u32,
    modulus: u32,
}

#[derive(Clone, Copy, Pod, Zeroable)]
#[repr(C)]
struct Spread {
    total: u32,
    block: u32,
    inner: u32,
    factor: f32,
}

/// How a stage is shared: the invocations' layout, and how long the segments are that n is cut into.
struct Plan {
    stage: Stage,
    /// For rows: how they are read. `None` for columns.
    packs: Option<Packs>,
    /// Rows a workgroup takes, or neighbouring columns.
    width: usize,
    segments: usize,
    length: usize,
}

impl Plan {
    fn new(stage: Stage, by_four: bool) -> Self {
        let Stage { outer, n, inner } = stage;
        let packs = (inner == 1).then(|| if by_four { Packs::of(n) } else { Packs::by_one(n) });
        let width = packs.map_or_else(|| column_width(stage), Packs::rows_per_workgroup);
        let workgroups = (outer * inner).div_ceil(width).max(1);
        let least = if packs.is_some() { SEGMENT } else { SEGMENT / width };
        let wanted = ENOUGH.div_ceil(workgroups).min(n / least).max(1);
        // Segments of whole packs.
        let length = n.div_ceil(wanted).next_multiple_of(4);
        Self { stage, packs, width, segments: n.div_ceil(length.max(1)).max(1), length }
    }

    /// The stage that is left when the segments are reduced.
    fn rest(&self) -> Option<Stage> {
        (self.segments > 1).then_some(Stage { n: self.segments, ..self.stage })
    }

    fn outputs(&self) -> usize {
        self.stage.outputs() * self.segments
    }

    fn constant(&self) -> Constant {
        match self.packs {
            Some(packs) => packs.constants()[0],
            None => ("COLUMNS", self.width as u32),
        }
    }

    fn tiles(&self) -> usize {
        self.stage.outputs().div_ceil(self.width)
    }

    fn workgroups(&self) -> usize {
        match self.packs {
            Some(_) => self.outputs().div_ceil(self.width),
            None => self.tiles() * self.segments,
        }
    }

    fn columns(&self, factor: f64, [divisor, modulus]: [u32; 2]) -> Columns {
        let Stage { n, inner, .. } = self.stage;
        Columns {
            columns: self.stage.outputs() as u32,
            tiles: self.tiles() as u32,
            n: n as u32,
            inner: inner as u32,
            segments: self.segments as u32,
            length: self.length as u32,
            factor: factor as f32,
            divisor,
            modulus,
        }
    }

    fn dispatch(&self, name: &'static str, gpu: &Gpu, run: &Run) -> Result<()> {
        let elements = (self.stage.outputs() * self.stage.n) as f64;
        gpu.dispatch(&Dispatch {
            operation: name,
            kernel: run.kernel,
            element: DType::F32,
            constants: run.constants,
            parameters: run.parameters,
            buffers: run.buffers,
            workgroups: Workgroups::Linear(self.workgroups()),
            cost: Cost { flops: elements, bytes: 4.0 * elements },
        })
    }
}

/// What a stage's dispatch is made of besides its plan.
struct Run<'a> {
    kernel: &'static Kernel,
    constants: &'a [Constant],
    parameters: &'a [u8],
    buffers: &'a [&'a Tensor],
}

/// Neighbouring columns a workgroup takes: 32, which fill a memory line, or what there are; more where n is so short that
/// rows of invocations would be idle.
fn column_width(stage: Stage) -> usize {
    let few = stage.outputs().next_power_of_two().clamp(2, 32);
    let rows = stage.n.next_power_of_two().clamp(1, INVOCATIONS / 2);
    few.max(INVOCATIONS / rows)
}

pub(super) fn sum(name: &'static str, gpu: &Gpu, x: &Tensor, stages: &[Stage], factor: f64) -> Result<Tensor> {
    let mut result = x.clone();
    for (at, &stage) in (1..).zip(stages) {
        let factor = if at == stages.len() { factor } else { 1.0 };
        let mut rest = Some(stage);
        while let Some(stage) = rest {
            let plan = Plan::new(stage, true);
            rest = plan.rest();
            result = sum_plan(name, gpu, &result, &plan, if rest.is_none() { factor } else { 1.0 })?;
        }
    }
    Ok(result)
}

fn sum_plan(name: &'static str, gpu: &Gpu, x: &Tensor, plan: &Plan, factor: f64) -> Result<Tensor> {
    let y = Tensor::on_gpu(gpu, name, &[plan.outputs()], DType::F32)?;
    let (constants, buffers) = ([plan.constant()], [x, &y]);
    match plan.packs {
        Some(packs) => {
            let width = if packs.four { 4 } else { 1 };
            let parameters = SumRows {
                parts: plan.outputs() as u32,
                packs: packs.count as u32,
                segments: plan.segments as u32,
                length: plan.length.div_ceil(width) as u32,
                factor: factor as f32,
            };
            let kernel = packs.pick(&shaders::SUM_ROWS);
            let parameters = bytes_of(&parameters);
            plan.dispatch(name, gpu, &Run { kernel, constants: &constants, parameters, buffers: &buffers })?;
        }
        None => {
            let (kernel, parameters) = (&shaders::SUM_COLUMNS, plan.columns(factor, [1, u32::MAX]));
            let parameters = bytes_of(&parameters);
            plan.dispatch(name, gpu, &Run { kernel, constants: &constants, parameters, buffers: &buffers })?;
        }
    }
    Ok(y)
}

/// The largest elements, and their places in x.
pub(super) fn max(name: &'static str, gpu: &Gpu, x: &Tensor, stages: &[Stage]) -> Result<Vec<Tensor>> {
    largest(name, gpu, x, stages, [1, u32::MAX])
}

/// The indices of the largest elements along the middle dimension.
pub(super) fn argmax(name: &'static str, gpu: &Gpu, x: &Tensor, stage: Stage) -> Result<Tensor> {
    Ok(largest(name, gpu, x, &[stage], [stage.inner as u32, stage.n as u32])?.swap_remove(1))
}

/// The places found last are stored divided by the first of `index`, modulo the second.
fn largest(name: &'static str, gpu: &Gpu, x: &Tensor, stages: &[Stage], index: [u32; 2]) -> Result<Vec<Tensor>> {
    let mut found: Option<Vec<Tensor>> = None;
    for (at, &stage) in (1..).zip(stages) {
        let mut rest = Some(stage);
        while let Some(stage) = rest {
            let plan = Plan::new(stage, false);
            rest = plan.rest();
            let index = if at == stages.len() && rest.is_none() { index } else { [1, u32::MAX] };
            found = Some(max_plan(name, gpu, x, found.as_ref().map(|found| &found[1]), &plan, index)?);
        }
    }
    Ok(found.unwrap_or_default())
}

fn max_plan(
    name: &'static str,
    gpu: &Gpu,
    x: &Tensor,
    candidates: Option<&Tensor>,
    plan: &Plan,
    index: [u32; 2],
) -> Result<Vec<Tensor>> {
    let y = Tensor::on_gpu(gpu, name, &[plan.outputs()], DType::F32)?;
    let places = Tensor::on_gpu(gpu, name, &[plan.outputs()], DType::U32)?;
    let constants = [plan.constant(), ("FIRST", u32::from(candidates.is_none()))];
    // At first there are no candidates to read; something must be bound.
    let buffers = [x, candidates.unwrap_or(x), &y, &places];
    let columns = plan.columns(1.0, index);
    let rows = MaxRows {
        parts: plan.outputs() as u32,
        length_of_row: plan.stage.n as u32,
        segments: plan.segments as u32,
        length: plan.length as u32,
        divisor: index[0],
        modulus: index[1],
    };
    let (kernel, parameters) = match plan.packs {
        Some(_) => (&shaders::MAX_ROWS, bytes_of(&rows)),
        None => (&shaders::MAX_COLUMNS, bytes_of(&columns)),
    };
    plan.dispatch(name, gpu, &Run { kernel, constants: &constants, parameters, buffers: &buffers })?;
    Ok(vec![y, places])
}

pub(super) fn spread(name: &'static str, gpu: &Gpu, d_y: &Tensor, stages: &[Stage], factor: f64) -> Result<Tensor> {
    let mut result = d_y.clone();
    for (at, &Stage { outer, n, inner }) in stages.iter().enumerate().rev() {
        // The gradient of the last stage comes first, and with it the factor.
        let factor = if at + 1 == stages.len() { factor } else { 1.0 };
        let d_x = Tensor::on_gpu(gpu, name, &[outer * n * inner], DType::F32)?;
        let (kernel, width, inner) = match (inner.is_multiple_of(4), inner == 1 && n.is_multiple_of(4)) {
            (true, _) => (&shaders::SPREAD[1], 4, inner / 4),
            (_, true) => (&shaders::SPREAD_ROWS, 4, 1),
            _ => (&shaders::SPREAD[0], 1, inner),
        };
        let total = d_x.elements() / width;
        let parameters = Spread {
            total: total as u32,
            block: total.checked_div(outer).unwrap_or(0) as u32,
            inner: inner as u32,
            factor: factor as f32,
        };
        let bytes = 4.0 * d_x.elements() as f64;
        elementwise(name, gpu, kernel, bytes_of(&parameters), &[&result, &d_x], total, bytes)?;
        result = d_x;
    }
    Ok(result)
}

/// d_x: d_y at the places of the largest elements, 0 elsewhere.
pub(super) fn scatter(name: &'static str, gpu: &Gpu, x: &Spec, places: &Tensor, d_y: &Tensor) -> Result<Tensor> {
    let d_x = Tensor::on_gpu(gpu, name, x.shape.sizes(), DType::F32)?;
    let (total, count) = (d_x.elements(), d_y.elements());
    elementwise(name, gpu, &shaders::ZERO, bytes_of(&[total as u32]), &[&d_x], total, 4.0 * total as f64)?;
    let parameters = [count as u32, total as u32];
    let buffers = [places, d_y, &d_x];
    elementwise(name, gpu, &shaders::SCATTER, bytes_of(&parameters), &buffers, count, 12.0 * count as f64)?;
    Ok(d_x)
}

/// A kernel of which each invocation writes one of `count` elements or packs.
fn elementwise(
    name: &'static str,
    gpu: &Gpu,
    kernel: &'static Kernel,
    parameters: &[u8],
    buffers: &[&Tensor],
    count: usize,
    bytes: f64,
) -> Result<()> {
    gpu.dispatch(&Dispatch {
        operation: name,
        kernel,
        element: DType::F32,
        constants: &[],
        parameters,
        buffers,
        workgroups: Packs::elementwise(count),
        cost: Cost { flops: 0.0, bytes },
    })
}
