//! The step state: what changes from step to step, in one small buffer of the device.
//!
//! On a GPU it is an array of 32-bit words, laid out as `shaders/adamw/step_state.wgsl` says. The host writes the first
//! three before a step; kernels write the rest. On the CPU the same values are a [`Report`].

use crate::error::Result;
use crate::tensor::Reading;

/// Words of the state.
pub(super) const WORDS: usize = 12;
/// The word that stands for "no tensor".
pub(super) const NONE: u32 = u32::MAX;

/// What the host gives a step.
#[derive(Debug, Clone, Copy)]
pub(super) struct Scalars {
    pub step: u64,
    pub learning_rate: f64,
    pub loss_scale: f64,
}

impl Scalars {
    /// The first words of the state.
    pub(super) fn words(self) -> [u32; 3] {
        [self.step as u32, (self.learning_rate as f32).to_bits(), (self.loss_scale as f32).to_bits()]
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
        }
    }
}

impl Report {
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
