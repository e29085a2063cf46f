//! The step state: what changes from step to step, in one small buffer of the device.
//!
//! On a GPU it is an array of 32-bit words, laid out as `shaders/adamw/step_state.wgsl` says. The host writes the first
//! two before a step; kernels write the rest. On the CPU the same values are a [`Report`].

use crate::error::Result;
use crate::tensor::Reading;

/// Words of the state.
pub(super) const WORDS: usize = 16;
/// The place of the next step's loss scale.
pub(super) const NEXT_SCALE: usize = 11;
/// The word that stands for "no tensor".
pub(super) const NONE: u32 = u32::MAX;

/// What the host gives a step.
#[derive(Debug, Clone, Copy)]
pub(super) struct Scalars {
    pub step: u64,
    pub learning_rate: f64,
}

impl Scalars {
    /// The first words of the state.
    pub(super) fn words(self) -> [u32; 2] {
        [self.step as u32, (self.learning_rate as f32).to_bits()]
    }
}

/// Where training stands: besides weights and moments all that the next step depends on.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Standing {
    /// Steps taken.
    pub steps: u64,
    /// Steps applied.
    pub applied: u64,
    /// The loss scale of the next step.
    pub loss_scale: f64,
    /// Steps applied since the loss scale changed or a step was skipped.
    pub in_a_row: u64,
}

impl Default for Standing {
    /// Before the first step, without a loss scale.
    fn default() -> Self {
        Self { steps: 0, applied: 0, loss_scale: 1.0, in_a_row: 0 }
    }
}

/// What a step found and did.
#[derive(Debug, Clone, PartialEq)]
pub struct Report {
    /// Steps taken with this one.
    pub step: u64,
    /// Steps applied with this one: the t of the bias corrections.
    pub applied: u64,
    /// The learning rate.
    pub learning_rate: f64,
    /// The loss scale that the gradients came with.
    pub loss_scale: f64,
    /// Whether all gradients, and the sum of their squares, were finite, so that the step was applied.
    pub finite: bool,
    /// The place of the first tensor with a gradient that is not finite or whose square is not. `None` with `finite`
    /// false means that only the sum over all tensors overflowed.
    pub first_bad: Option<usize>,
    /// The norm of all gradients together, the loss scale taken out, before clipping. Not finite if they were not.
    pub gradient_norm: f64,
    /// The factor of the clipping, 1 for none.
    pub clip: f64,
    /// The loss scale of the next step.
    pub next_loss_scale: f64,
    /// Steps applied since the loss scale changed or a step was skipped.
    pub in_a_row: u64,
}

impl Default for Report {
    /// Before the first step.
    fn default() -> Self {
        Self {
            step: 0,
            applied: 0,
            learning_rate: 0.0,
            loss_scale: 1.0,
            finite: true,
            first_bad: None,
            gradient_norm: 0.0,
            clip: 1.0,
            next_loss_scale: 1.0,
            in_a_row: 0,
        }
    }
}

impl Report {
    /// Steps skipped so far, this one included if it was.
    pub fn skipped(&self) -> u64 {
        self.step - self.applied
    }

    /// What to keep of it for [`super::Optimizer::restore`].
    pub fn standing(&self) -> Standing {
        Standing { steps: self.step, applied: self.applied, loss_scale: self.next_loss_scale, in_a_row: self.in_a_row }
    }

    pub(super) fn at(standing: Standing) -> Self {
        Self {
            step: standing.steps,
            applied: standing.applied,
            loss_scale: standing.loss_scale,
            next_loss_scale: standing.loss_scale,
            in_a_row: standing.in_a_row,
            ..Self::default()
        }
    }

    pub(super) fn from_words(words: &[u32]) -> Self {
        let word = |at: usize| words.get(at).copied().unwrap_or(0);
        let float = |at: usize| f64::from(f32::from_bits(word(at)));
        Self {
            step: word(0).into(),
            learning_rate: float(1),
            loss_scale: float(2),
            finite: word(3) != 0,
            first_bad: (word(4) != NONE).then_some(word(4) as usize),
            gradient_norm: float(5),
            applied: word(6).into(),
            clip: float(7),
            next_loss_scale: float(NEXT_SCALE),
            in_a_row: word(12).into(),
        }
    }

    pub(super) fn words(&self) -> [u32; WORDS] {
        let mut words = [0; WORDS];
        words[0] = self.step as u32;
        words[1] = (self.learning_rate as f32).to_bits();
        words[2] = (self.loss_scale as f32).to_bits();
        words[3] = self.finite.into();
        words[4] = self.first_bad.map_or(NONE, |place| place as u32);
        words[5] = (self.gradient_norm as f32).to_bits();
        words[6] = self.applied as u32;
        words[7] = (self.clip as f32).to_bits();
        words[NEXT_SCALE] = (self.next_loss_scale as f32).to_bits();
        words[12] = self.in_a_row as u32;
        words
    }
}

/// A report on its way from the device.
pub enum ReportReading {
    /// It was on the CPU.
    Ready(Report),
    /// The GPU will deliver it.
    Pending(Reading<u32>),
}

impl ReportReading {
    /// Waits for the report.
    ///
    /// # Errors
    /// A fault of the device.
    pub fn wait(self) -> Result<Report> {
        match self {
            Self::Ready(report) => Ok(report),
            Self::Pending(reading) => Ok(Report::from_words(&reading.wait()?)),
        }
    }
}
