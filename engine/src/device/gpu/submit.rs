//! Encoding and submitting what was recorded, on a thread of its own: recording the next kernels goes on meanwhile, and a
//! small model's step takes the host half as long.
//!
//! Batches are encoded one after the other in the order in which they came. Whoever must have one on the device does not wait
//! for the thread to wake: it takes what is next in line itself, as it does when too many have piled up.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, OnceLock};
use std::thread::JoinHandle;

use super::kernel::{Compiler, STACK, Variant};
use super::lock;
use super::plan::Cost;
use super::timing::{Timed, Timings};
use crate::error::Error;

/// Batches that may wait; over this whoever records encodes too.
const MOST_WAITING: usize = 32;

/// A dispatch, or a part of one that was cut, to be encoded.
pub(super) struct Recorded {
    pub operation: &'static str,
    pub variant: Arc<Variant>,
    pub bind_group: wgpu::BindGroup,
    pub first_workgroup: usize,
    pub groups: [u32; 3],
    /// The part's share.
    pub cost: Cost,
    /// What it is planned to take.
    pub seconds: f64,
}

/// Something to be encoded.
pub(super) enum Command {
    Dispatch(Recorded),
    Copy { source: (wgpu::Buffer, u64), target: (wgpu::Buffer, u64), bytes: u64 },
    Clear(wgpu::Buffer),
}

/// Which submission a batch became, once it has; `None` in it if there was nothing to submit.
#[derive(Clone, Default)]
pub(super) struct Ticket(Arc<OnceLock<Option<wgpu::SubmissionIndex>>>);

/// Commands of one submission.
struct Batch {
    commands: Vec<Command>,
    ticket: Ticket,
}

#[derive(Default)]
struct Waiting {
    batches: VecDeque<Batch>,
    stopped: bool,
}

/// What is being encoded.
struct Encoding {
    // The pass borrows from the encoder inside wgpu and must end first: it is declared first.
    pass: Option<wgpu::ComputePass<'static>>,
    encoder: Option<wgpu::CommandEncoder>,
    /// How long each dispatch took, if somebody asked for it.
    timings: Option<Timings>,
}

/// What encodes and submits, shared with the thread that does.
pub(crate) struct Submitter {
    device: wgpu::Device,
    queue: wgpu::Queue,
    compiler: Arc<Compiler>,
    /// Where what fails is noted: nobody waits for it here.
    fault: Arc<Mutex<Option<Error>>>,
    waiting: Mutex<Waiting>,
    more: Condvar,
    /// Held while a batch is taken and encoded, so that none overtakes another.
    encoding: Mutex<Encoding>,
    /// `None` where the system has no more threads, and once stopped.
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl Submitter {
    pub(super) fn new(
        device: wgpu::Device,
        queue: wgpu::Queue,
        compiler: Arc<Compiler>,
        fault: Arc<Mutex<Option<Error>>>,
        timings: Option<Timings>,
    ) -> Arc<Self> {
        let encoding = Mutex::new(Encoding { pass: None, encoder: None, timings });
        let (waiting, more, thread) = Default::default();
        let submitter = Arc::new(Self { device, queue, compiler, fault, waiting, more, encoding, thread });
        let works = submitter.clone();
        // It compiles what no thread has begun to.
        let thread = std::thread::Builder::new().name("submitter".into()).stack_size(STACK).spawn(move || works.work());
        *lock(&submitter.thread) = thread.ok();
        submitter
    }

    fn work(&self) {
        loop {
            let mut waiting = lock(&self.waiting);
            while waiting.batches.is_empty() && !waiting.stopped {
                waiting = self.more.wait(waiting).unwrap_or_else(|poisoned| poisoned.into_inner());
            }
            if waiting.stopped {
                return;
            }
            drop(waiting);
            self.submit_next();
        }
    }

    /// Drops what waits, and waits for what is under way.
    pub(super) fn stop(&self) {
        {
            let mut waiting = lock(&self.waiting);
            waiting.stopped = true;
            waiting.batches.clear();
        }
        self.more.notify_all();
        if let Some(thread) = lock(&self.thread).take() {
            // It catches its own panics.
            let _ = thread.join();
        }
    }

    /// Has commands encoded and submitted after all that came before.
    pub(super) fn send(&self, commands: Vec<Command>) -> Ticket {
        let ticket = Ticket::default();
        let count = {
            let mut waiting = lock(&self.waiting);
            waiting.batches.push_back(Batch { commands, ticket: ticket.clone() });
            waiting.batches.len()
        };
        self.more.notify_one();
        if count > MOST_WAITING {
            self.submit_next();
        }
        ticket
    }

    /// Waits until a batch is submitted, not until the device has done it.
    pub(super) fn submitted(&self, ticket: &Ticket) -> Option<wgpu::SubmissionIndex> {
        loop {
            if let Some(submission) = ticket.0.get() {
                return submission.clone();
            }
            // The thread may have it in hand: then this waits for it.
            if !self.submit_next() && ticket.0.get().is_none() {
                return None;
            }
        }
    }

    /// Takes the batch next in line, if there is one.
    fn submit_next(&self) -> bool {
        let mut encoding = lock(&self.encoding);
        let Some(Batch { commands, ticket }) = lock(&self.waiting).batches.pop_front() else { return false };
        let submitted = catch_unwind(AssertUnwindSafe(|| self.submit(&mut encoding, commands)));
        let submission = submitted.unwrap_or_else(|panic| {
            encoding.pass = None;
            encoding.encoder = None;
            let message = panic.downcast_ref::<String>().map(String::as_str);
            let message = message.or(panic.downcast_ref::<&str>().copied()).unwrap_or("for no reason given");
            self.failed(Error::Gpu(format!("encoding of commands panicked: {message}")));
            None
        });
        // Nobody else sets it.
        let _ = ticket.0.set(submission);
        true
    }

    fn failed(&self, error: Error) {
        lock(&self.fault).get_or_insert(error);
    }

    fn submit(&self, encoding: &mut Encoding, commands: Vec<Command>) -> Option<wgpu::SubmissionIndex> {
        for command in commands {
            match command {
                Command::Dispatch(dispatch) => self.encode(encoding, &dispatch),
                Command::Copy { source: (source, from), target: (target, to), bytes } => {
                    self.encoder(encoding).copy_buffer_to_buffer(&source, from, &target, to, bytes);
                }
                Command::Clear(buffer) => self.encoder(encoding).clear_buffer(&buffer, 0, None),
            }
        }
        encoding.pass = None;
        let mut encoder = encoding.encoder.take()?;
        if let Some(timings) = &encoding.timings {
            timings.resolve(&mut encoder);
        }
        let submission = self.queue.submit([encoder.finish()]);
        if let Some(timings) = &mut encoding.timings {
            timings.collect(&self.device, &self.queue, submission.clone());
        }
        Some(submission)
    }

    /// The encoder, outside any compute pass.
    fn encoder<'a>(&self, encoding: &'a mut Encoding) -> &'a mut wgpu::CommandEncoder {
        encoding.pass = None;
        encoding.encoder.get_or_insert_with(|| self.device.create_command_encoder(&Default::default()))
    }

    fn encode(&self, encoding: &mut Encoding, dispatch: &Recorded) {
        let pipeline = match self.compiler.pipeline(&dispatch.variant) {
            Ok(pipeline) => pipeline,
            Err(error) => return self.failed(error),
        };
        // A dispatch that is timed has a pass of its own.
        let timed = encoding.timings.as_mut().map(|timings| timings.time(dispatch));
        if timed.is_some() {
            encoding.pass = None;
        }
        if encoding.pass.is_none() {
            let timestamp_writes = timed.as_ref().map(Timed::writes);
            let descriptor = wgpu::ComputePassDescriptor { label: None, timestamp_writes };
            encoding.pass = Some(self.encoder(encoding).begin_compute_pass(&descriptor).forget_lifetime());
        }
        if let Some(pass) = &mut encoding.pass {
            pass.set_pipeline(pipeline);
            pass.set_bind_group(0, &dispatch.bind_group, &[]);
            pass.dispatch_workgroups(dispatch.groups[0], dispatch.groups[1], dispatch.groups[2]);
        }
        if timed.is_some() {
            encoding.pass = None;
        }
    }

    /// The timings of what is submitted, if the device was opened to take them.
    pub(super) fn with_timings<T>(&self, take: impl FnOnce(&mut Timings) -> T) -> Option<T> {
        lock(&self.encoding).timings.as_mut().map(take)
    }
}

#[cfg(test)]
mod tests {
    use crate::check::test_device;
    use crate::device::gpu::Options;
    use crate::ops::arithmetic::add_tensors;
    use crate::{Device, Tensor};

    #[test]
    fn far_more_than_may_wait_is_done_in_order() {
        let Some(device) = test_device::gpu().map(|_| test_device::own(Options::default())) else { return };
        let one = Tensor::new(&device, &[5], &[1f32; 5]).unwrap();
        let mut sum = one.clone();
        // Over MOST_WAITING batches of the most dispatches, read by nobody before the end.
        for _ in 1..6000 {
            sum = add_tensors(&sum, &one).unwrap();
        }
        assert_eq!(sum.to_vec::<f32>().unwrap(), [6000.0; 5]);
    }

    #[test]
    fn a_device_goes_while_batches_wait() {
        if test_device::gpu().is_none() {
            return;
        }
        for _ in 0..3 {
            let device = test_device::own(Options::default());
            let mut sum = Tensor::new(&device, &[5], &[1f32; 5]).unwrap();
            for _ in 0..1000 {
                sum = add_tensors(&sum, &sum).unwrap();
            }
            let Device::Gpu(gpu) = device else { return };
            gpu.flush();
        }
    }

    #[test]
    fn what_fails_in_encoding_is_a_fault_and_what_comes_after_is_done() {
        let Some(Device::Gpu(gpu)) = test_device::gpu().map(|_| test_device::own(Options::default())) else { return };
        let device = Device::Gpu(gpu.clone());
        let one = Tensor::new(&device, &[5], &[1f32; 5]).unwrap();
        one.to_vec::<f32>().unwrap();
        // A copy of a buffer onto itself: wgpu refuses it when the batch is encoded.
        let raw = one.gpu_buffer("test", &gpu).unwrap().raw.clone();
        gpu.copy((&raw, 0), (&raw, 0), 4);
        let error = one.to_vec::<f32>().unwrap_err().to_string();
        assert!(error.contains("same buffer"), "{error}");
        assert_eq!(add_tensors(&one, &one).unwrap().to_vec::<f32>().unwrap(), [2.0; 5]);
    }
}
