//! Recording of kernels, and when they are submitted.
//!
//! Dispatches and copies are noted until somebody reads a result, until there are enough for a submission, or until so much
//! work is planned that a driver's watchdog could take it for a hang; then they go to the thread that encodes and submits
//! (`submit.rs`). How long work takes is planned from its cost and the rates measured so far.
//!
//! Kernels may still be being compiled then: only encoding waits for them, so that all kernels of a first step are compiled
//! side by side.

use std::sync::Arc;
use std::time::Instant;

use gradus_shaders::{Constant, Kernel, PART_BINDING};
use rustc_hash::FxHashMap;

use super::kernel::Variant;
use super::plan::{self, Cost, LONGEST_SUBMISSION, Rates};
use super::submit::{Command, Recorded, Ticket};
use super::timing::MOST_TIMED;
use super::{Gpu, lock};
use crate::dtype::DType;
use crate::error::{Error, Result};
use crate::tensor::Tensor;

/// Dispatches a submission: enough that submitting costs little, few enough that the device starts early.
const MOST_DISPATCHES: usize = 128;
const _: () = assert!(MOST_DISPATCHES <= MOST_TIMED);
/// Bind groups and parameter buffers kept; over this the caches start anew.
const MOST_CACHED: usize = 8192;

/// How many workgroups run.
#[derive(Debug, Clone, Copy)]
pub enum Workgroups {
    /// So many in a row. Where there are more than a dimension allows they are folded over x and y, and where they would
    /// take too long for a watchdog they run in several dispatches; kernels find their place by `flat_workgroup`.
    Linear(usize),
    /// A grid in x, y and z, which is neither folded nor cut.
    Grid([usize; 3]),
}

/// One kernel to run.
pub struct Dispatch<'a> {
    /// The operation, for messages.
    pub operation: &'static str,
    /// The kernel.
    pub kernel: &'static Kernel,
    /// What `Element` stands for.
    pub element: DType,
    /// The variant.
    pub constants: &'a [Constant],
    /// The uniform `parameters`.
    pub parameters: &'a [u8],
    /// The storage buffers, in the order of the kernel's bindings.
    pub buffers: &'a [&'a Tensor],
    /// The grid.
    pub workgroups: Workgroups,
    /// What it costs.
    pub cost: Cost,
}

type BindGroupKey = [u64; 11];

/// How much there is between two submissions.
#[derive(Default, Clone, Copy)]
struct Load {
    dispatches: usize,
    seconds: f64,
}

impl Load {
    fn add(&mut self, seconds: f64) {
        self.dispatches += 1;
        self.seconds += seconds;
    }

    /// Whether a dispatch that is planned to take so long must wait for the next submission.
    fn is_full(self, seconds: f64, watched: bool) -> bool {
        let long = watched && self.seconds + seconds > LONGEST_SUBMISSION;
        self.dispatches >= MOST_DISPATCHES || (long && self.dispatches > 0)
    }
}

/// The commands recorded and not yet submitted, and the caches that recording uses.
#[derive(Default)]
pub(crate) struct Recorder {
    noted: Vec<Command>,
    recorded: Load,
    rates: Rates,
    /// The rates are a test's: they do not grow.
    fixed_rates: bool,
    /// Cost submitted and not yet known to be done, and since when the device has been busy with it.
    submitted: Cost,
    busy_since: Option<Instant>,
    bind_groups: FxHashMap<BindGroupKey, wgpu::BindGroup>,
    /// Bind groups made so far, found ones not counted.
    bind_groups_made: usize,
    parameters: FxHashMap<Box<[u8]>, (wgpu::Buffer, u64)>,
    next_parameter: u64,
}

impl Recorder {
    /// One that plans with these rates from the start.
    pub(super) fn new(rates: Option<Rates>) -> Self {
        Self { rates: rates.unwrap_or_default(), fixed_rates: rates.is_some(), ..Self::default() }
    }

    /// Records a copy of `bytes`, between places in bytes.
    pub(super) fn copy(&mut self, source: (&wgpu::Buffer, u64), target: (&wgpu::Buffer, u64), bytes: u64) {
        let [source, target] = [source, target].map(|(buffer, place)| (buffer.clone(), place));
        self.noted.push(Command::Copy { source, target, bytes });
    }

    /// Records that a buffer is filled with zeros.
    pub(super) fn clear(&mut self, buffer: &wgpu::Buffer) {
        self.noted.push(Command::Clear(buffer.clone()));
    }

    /// Forgets the bind groups, which keep their buffers alive.
    pub(super) fn forget_bind_groups(&mut self) {
        self.bind_groups.clear();
    }

    /// The cost submitted since the last [`Recorder::done`].
    pub(super) fn submitted(&self) -> Cost {
        self.submitted
    }

    /// Work of this cost is done: it took no longer than since the device became busy, so it is at least this fast.
    pub(super) fn done(&mut self, cost: Cost) {
        if let Some(since) = self.busy_since.filter(|_| !self.fixed_rates) {
            let seconds = since.elapsed().as_secs_f64().max(1e-6);
            self.rates.flops = self.rates.flops.max(cost.flops / seconds);
            self.rates.bytes = self.rates.bytes.max(cost.bytes / seconds);
        }
        self.submitted.flops = (self.submitted.flops - cost.flops).max(0.0);
        self.submitted.bytes = (self.submitted.bytes - cost.bytes).max(0.0);
        self.busy_since = (self.submitted.bytes > 0.0).then(Instant::now);
    }

    fn parameters(&mut self, device: &wgpu::Device, content: &[u8]) -> (wgpu::Buffer, u64) {
        if let Some(found) = self.parameters.get(content) {
            return found.clone();
        }
        if self.parameters.len() >= MOST_CACHED {
            self.parameters.clear();
            self.bind_groups.clear();
        }
        let buffer = device.create_buffer(&wgpu::BufferDescriptor {
            label: None,
            size: (content.len() as u64).next_multiple_of(16).max(16),
            usage: wgpu::BufferUsages::UNIFORM,
            mapped_at_creation: true,
        });
        if let Ok(mut view) = buffer.slice(..).get_mapped_range_mut() {
            view.slice(..content.len()).copy_from_slice(content);
        }
        buffer.unmap();
        self.next_parameter += 1;
        let entry = (buffer, self.next_parameter);
        self.parameters.insert(content.into(), entry.clone());
        entry
    }
}

fn too_many(dispatch: &Dispatch, count: usize, most: usize) -> Error {
    let shapes: Vec<_> = dispatch.buffers.iter().map(|tensor| tensor.shape()).collect();
    let message = format!("{count} workgroups on {shapes:?} are more than the device allows, {most} a dimension");
    Error::limit(dispatch.operation, message)
}

impl Gpu {
    /// Records a kernel.
    ///
    /// # Errors
    /// A kernel that does not compile, f16 on an adapter without it, tensors of another device, a grid over the device's
    /// limits, and whatever fault the driver reported before.
    pub fn dispatch(&self, dispatch: &Dispatch) -> Result<()> {
        let most = self.0.report.limits.max_compute_workgroups_per_dimension as usize;
        if dispatch.element == DType::F16 && !self.0.report.shader_f16 {
            let message = format!("f16 needs SHADER_F16, which {} has not; compute in f32", self.0.report.name);
            return Err(Error::device(dispatch.operation, message));
        }
        let variant = self.variant(dispatch.kernel, dispatch.element, dispatch.constants)?;
        let mut recorder = lock(&self.0.recorder);
        match dispatch.workgroups {
            Workgroups::Linear(count) => {
                let seconds = if self.is_watched() { recorder.rates.seconds(dispatch.cost) } else { 0.0 };
                let seconds = if variant.splits { seconds } else { 0.0 };
                for (first, length) in plan::ranges(count, seconds, most) {
                    let groups = plan::fold(length, most).ok_or_else(|| too_many(dispatch, count, most))?;
                    self.record(&mut recorder, dispatch, &variant, (first, groups), length as f64 / count as f64)?;
                }
            }
            Workgroups::Grid(groups) if groups.iter().all(|&size| size <= most) => {
                let part = (0, groups.map(|size| size as u32));
                if !groups.contains(&0) {
                    self.record(&mut recorder, dispatch, &variant, part, 1.0)?;
                }
            }
            Workgroups::Grid(groups) => return Err(too_many(dispatch, groups.iter().product(), most)),
        }
        drop(recorder);
        self.fault()
    }

    /// Whether a watchdog may end long work. Software adapters have none, unless a test plans with rates of its own.
    fn is_watched(&self) -> bool {
        !self.0.report.software || self.0.options.rates.is_some()
    }

    /// Records one part of a dispatch: from which workgroup on, its grid, and its share of the cost.
    fn record(
        &self,
        recorder: &mut Recorder,
        dispatch: &Dispatch,
        variant: &Arc<Variant>,
        (first_workgroup, groups): (usize, [u32; 3]),
        share: f64,
    ) -> Result<()> {
        let cost = Cost { flops: dispatch.cost.flops * share, bytes: dispatch.cost.bytes * share };
        let seconds = recorder.rates.seconds(cost);
        if recorder.recorded.is_full(seconds, self.is_watched()) {
            self.submit(recorder);
        }
        let bind_group = self.bind_group(recorder, dispatch, variant, first_workgroup)?;
        recorder.noted.push(Command::Dispatch(Recorded {
            operation: dispatch.operation,
            variant: variant.clone(),
            bind_group,
            first_workgroup,
            groups,
            cost,
            seconds,
        }));
        recorder.recorded.add(seconds);
        recorder.submitted.flops += cost.flops;
        recorder.submitted.bytes += cost.bytes;
        Ok(())
    }

    fn bind_group(
        &self,
        recorder: &mut Recorder,
        dispatch: &Dispatch,
        variant: &Variant,
        first: usize,
    ) -> Result<wgpu::BindGroup> {
        let expected = dispatch.kernel.bindings.len();
        if dispatch.buffers.len() != expected {
            return Err(Error::Kernel {
                kernel: dispatch.kernel.name.into(),
                message: format!("it has {expected} storage bindings, {} tensors were given", dispatch.buffers.len()),
            });
        }
        let (parameters, parameters_id) = recorder.parameters(&self.0.device, dispatch.parameters);
        let part = [first as u32, 0, 0, 0];
        let part = variant.splits.then(|| recorder.parameters(&self.0.device, bytemuck::bytes_of(&part)));
        let mut key: BindGroupKey = [u64::MAX; 11];
        key[0] = variant.id;
        key[1] = parameters_id;
        if let Some((_, part_id)) = &part {
            key[2] = *part_id;
        }
        for (slot, tensor) in key[3..].iter_mut().zip(dispatch.buffers) {
            *slot = tensor.gpu_buffer(dispatch.operation, self)?.id;
        }
        if let Some(found) = recorder.bind_groups.get(&key) {
            return Ok(found.clone());
        }
        if recorder.bind_groups.len() >= MOST_CACHED {
            recorder.bind_groups.clear();
        }
        let mut entries = vec![wgpu::BindGroupEntry { binding: 0, resource: parameters.as_entire_binding() }];
        for (binding, tensor) in (1..).zip(dispatch.buffers) {
            let resource = tensor.gpu_buffer(dispatch.operation, self)?.raw.as_entire_binding();
            entries.push(wgpu::BindGroupEntry { binding, resource });
        }
        if let Some((part, _)) = &part {
            entries.push(wgpu::BindGroupEntry { binding: PART_BINDING, resource: part.as_entire_binding() });
        }
        let group = self.0.device.create_bind_group(&wgpu::BindGroupDescriptor {
            label: Some(dispatch.kernel.name),
            layout: &variant.layout,
            entries: &entries,
        });
        recorder.bind_groups.insert(key, group.clone());
        recorder.bind_groups_made += 1;
        Ok(group)
    }

    /// Submits what is recorded; the device starts on it, nobody waits.
    pub fn flush(&self) {
        self.submit(&mut lock(&self.0.recorder));
    }

    pub(super) fn submit(&self, recorder: &mut Recorder) -> Ticket {
        recorder.recorded = Load::default();
        if !recorder.noted.is_empty() {
            recorder.busy_since.get_or_insert_with(Instant::now);
        }
        self.0.submitter.send(std::mem::take(&mut recorder.noted))
    }

    /// Submits what is recorded and waits until the device has done everything.
    ///
    /// # Errors
    /// Whatever fault the driver or a kernel reported.
    pub fn synchronize(&self) -> Result<()> {
        self.drain()?;
        if self.may_fault() { self.read_parts(&[])?.wait().map(|_| ()) } else { Ok(()) }
    }

    /// Submits what is recorded and waits; kernels' own faults are left for the next read-back.
    pub(super) fn drain(&self) -> Result<()> {
        let (ticket, cost) = {
            let mut recorder = lock(&self.0.recorder);
            (self.submit(&mut recorder), recorder.submitted())
        };
        self.0.submitter.submitted(&ticket);
        let polled = self.0.device.poll(wgpu::PollType::wait_indefinitely());
        lock(&self.0.recorder).done(cost);
        self.fault()?;
        polled.map(|_| ()).map_err(|error| Error::Gpu(error.to_string()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Device;
    use crate::check::test_device;
    use crate::device::gpu::Options;
    use crate::ops::arithmetic::add_tensors;
    use crate::ops::matmul::linear;
    use crate::ops::norm::rms_norm;
    use crate::tape::{Tape, Var};

    #[test]
    fn from_the_second_step_on_bind_groups_are_found() {
        let Some(Device::Gpu(gpu)) = test_device::gpu().map(|_| test_device::own(Options::default())) else { return };
        let device = Device::Gpu(gpu.clone());
        let x = Tensor::new(&device, &[300], &[1f32; 300]).unwrap();
        // Its tensors are given back in another order than that in which they were taken.
        let step = || {
            let mut alive: Vec<Tensor> = (0..7).map(|_| add_tensors(&x, &x).unwrap()).collect();
            for (place, keep) in [(4, true), (0, false), (3, true), (1, false), (0, true)] {
                let gone = alive.remove(place);
                let sum = add_tensors(&gone, &alive[place % alive.len()]).unwrap();
                if keep {
                    alive.push(sum);
                }
            }
            gpu.flush();
            lock(&gpu.0.recorder).bind_groups_made
        };
        let first = step();
        assert!(first >= 10, "{first}");
        for _ in 0..20 {
            assert_eq!(step(), first);
        }
    }

    #[test]
    fn gradients_of_one_value_are_added_up_without_kernels_of_their_own() {
        if !test_device::gpu().is_some_and(|gpu| matches!(gpu, Device::Gpu(gpu) if gpu.report().timestamps)) {
            println!("skipped: no GPU with timestamps");
            return;
        }
        let device = test_device::own(Options { time_dispatches: true, ..Options::default() });
        let Device::Gpu(gpu) = &device else { return };
        let tape = Tape::new();
        let x = tape.leaf(Tensor::new(&device, &[2, 2], &[1f32, 2.0, 3.0, 4.0]).unwrap());
        let weight =
            |scale: f32| Var::constant(Tensor::new(&device, &[2, 2], &[scale, 0.0, 0.0, 2.0 * scale]).unwrap());
        let ones = || Tensor::new(&device, &[2, 2], &[1f32; 4]).unwrap();
        // The norm comes first, and so last on the way back, when there is a sum to add to.
        let normed = rms_norm(&x, &Tensor::new(&device, &[2], &[1f32, 1.0]).unwrap().into(), 0.0).unwrap();
        let mut seeds = vec![(normed, ones())];
        seeds.extend([1.0, 10.0, 100.0].map(|scale| (linear(&x, &weight(scale)).unwrap(), ones())));
        gpu.take_timings().unwrap();
        let d_x = tape.backward_from(seeds).unwrap().take(&x).unwrap();
        let kernels: Vec<_> = gpu.take_timings().unwrap().iter().map(|timing| timing.kernel).collect();
        assert!(kernels.len() >= 4 && kernels.iter().all(|kernel| !kernel.starts_with("arithmetic")), "{kernels:?}");
        for (row, got) in [[1f64, 2.0], [3.0, 4.0]].iter().zip(d_x.to_vec::<f32>().unwrap().chunks(2)) {
            let square = (row[0] * row[0] + row[1] * row[1]) / 2.0;
            let along = (row[0] + row[1]) / 2.0 / square;
            for (column, products) in [(0, 111.0), (1, 222.0)] {
                let expected = products + (1.0 - row[column] * along) / square.sqrt();
                assert!((f64::from(got[column]) - expected).abs() < 1e-3, "{got:?}, expected {expected}");
            }
        }
    }
}
