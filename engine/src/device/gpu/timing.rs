//! How long each dispatch took on the device, by its own clock: for measurements, and to see that plans hold.

use std::sync::Arc;

use gradus_shaders::Constant;

use super::Gpu;
use super::plan::Cost;
use super::submit::Recorded;
use crate::error::{Error, Result};

/// Dispatches that one query set times: as many as a submission may have.
pub(super) const MOST_TIMED: usize = 256;

/// One dispatch as it was timed. A dispatch that was cut has a timing for each of its parts.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Timing {
    /// The operation.
    pub operation: &'static str,
    /// The kernel.
    pub kernel: &'static str,
    /// What `Element` stands for in it, `f32` or `f16`.
    pub element: &'static str,
    /// The kernel's variant.
    pub constants: Arc<[Constant]>,
    /// What it was counted to do: the part's share of the whole.
    pub cost: Cost,
    /// The first workgroup, which is 0 but for the later parts of a dispatch that was cut.
    pub first_workgroup: usize,
    /// What was planned, in seconds.
    pub planned: f64,
    /// When it began, in seconds of the device's own clock, which starts anywhere.
    pub begun: f64,
    /// What it took, in seconds.
    pub seconds: f64,
    /// Which submission it was in, counted from 0.
    pub submission: usize,
}

/// The queries of the submission that is being recorded, and what was timed before.
pub(super) struct Timings {
    queries: wgpu::QuerySet,
    resolved: wgpu::Buffer,
    staging: wgpu::Buffer,
    /// Timings without their seconds.
    pending: Vec<Timing>,
    done: Vec<Timing>,
    submissions: usize,
}

impl Timings {
    pub(super) fn new(device: &wgpu::Device) -> Self {
        let bytes = 16 * MOST_TIMED as u64;
        let buffer = |usage| {
            device.create_buffer(&wgpu::BufferDescriptor { label: None, size: bytes, usage, mapped_at_creation: false })
        };
        Self {
            queries: device.create_query_set(&wgpu::QuerySetDescriptor {
                label: None,
                ty: wgpu::QueryType::Timestamp,
                count: 2 * MOST_TIMED as u32,
            }),
            resolved: buffer(wgpu::BufferUsages::QUERY_RESOLVE | wgpu::BufferUsages::COPY_SRC),
            staging: buffer(wgpu::BufferUsages::COPY_DST | wgpu::BufferUsages::MAP_READ),
            pending: Vec::new(),
            done: Vec::new(),
            submissions: 0,
        }
    }

    /// Queries for a dispatch.
    pub(super) fn time(&mut self, dispatch: &Recorded) -> Timed {
        let timed = Timed { queries: self.queries.clone(), first: 2 * self.pending.len() as u32 };
        self.pending.push(Timing {
            operation: dispatch.operation,
            kernel: dispatch.variant.kernel.name,
            element: dispatch.variant.element.name(),
            constants: dispatch.variant.constants.clone(),
            cost: dispatch.cost,
            first_workgroup: dispatch.first_workgroup,
            planned: dispatch.seconds,
            ..Timing::default()
        });
        timed
    }

    /// Records the copy of the queries' results at the end of a submission.
    pub(super) fn resolve(&self, encoder: &mut wgpu::CommandEncoder) {
        let count = 2 * self.pending.len();
        if count > 0 {
            encoder.resolve_query_set(&self.queries, 0..count as u32, &self.resolved, 0);
            encoder.copy_buffer_to_buffer(&self.resolved, 0, &self.staging, 0, 8 * count as u64);
        }
    }

    /// Waits for a submission and notes its times. Whoever times waits: the next submission uses the same queries.
    pub(super) fn collect(&mut self, device: &wgpu::Device, queue: &wgpu::Queue, submission: wgpu::SubmissionIndex) {
        let count = self.pending.len();
        if count == 0 {
            return;
        }
        let slice = self.staging.slice(..16 * count as u64);
        slice.map_async(wgpu::MapMode::Read, |_| {});
        let polled = device.poll(wgpu::PollType::Wait { submission_index: Some(submission), timeout: None });
        // A device that is gone has no times; the fault is reported where it is looked for.
        if let (Ok(_), Ok(view)) = (polled, slice.get_mapped_range()) {
            let ticks: Vec<u64> = bytemuck::pod_collect_to_vec(&view);
            let period = f64::from(queue.get_timestamp_period()) * 1e-9;
            for (timing, pair) in self.pending.drain(..).zip(ticks.chunks_exact(2)) {
                let seconds = pair[1].saturating_sub(pair[0]) as f64 * period;
                let begun = pair[0] as f64 * period;
                self.done.push(Timing { begun, seconds, submission: self.submissions, ..timing });
            }
        }
        self.staging.unmap();
        self.pending.clear();
        self.submissions += 1;
    }
}

/// The queries of one dispatch.
pub(super) struct Timed {
    queries: wgpu::QuerySet,
    first: u32,
}

impl Timed {
    pub(super) fn writes(&self) -> wgpu::ComputePassTimestampWrites<'_> {
        wgpu::ComputePassTimestampWrites {
            query_set: &self.queries,
            beginning_of_pass_write_index: Some(self.first),
            end_of_pass_write_index: Some(self.first + 1),
        }
    }
}

impl Gpu {
    /// What was timed since the last call; needs [`super::Options::time_dispatches`].
    ///
    /// # Errors
    /// A device that was not opened so, or whatever fault the driver reported.
    pub fn take_timings(&self) -> Result<Vec<Timing>> {
        self.drain()?;
        self.0
            .submitter
            .with_timings(|timings| std::mem::take(&mut timings.done))
            .ok_or_else(|| Error::device("take_timings", "the device was not opened with `time_dispatches`"))
    }
}
