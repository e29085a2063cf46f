//! The learning rate over a run, in fractions of the run's length, so that a run limited by time
//! and one limited by steps have the same shape.

use serde::{Deserialize, Serialize};

/// What the learning rate does after the warm-up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Shape {
    /// Half a cosine from the peak down to the final rate.
    Cosine,
    /// Stays at the peak.
    Constant,
    /// A straight line from the peak down to the final rate.
    Linear,
    /// Stays at the peak, then a straight line to the final rate over the last `decay` of the run.
    WarmupStableDecay,
}

/// The section `[schedule]`. Everything is a fraction: of the run, or of the peak rate.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Schedule {
    /// What follows the warm-up.
    pub shape: Shape,
    /// Share of the run in which the rate rises linearly from 0 to the peak.
    pub warmup: f64,
    /// Share of the run in which `warmup-stable-decay` decays.
    pub decay: f64,
    /// The rate at the end as a share of the peak.
    pub final_fraction: f64,
}

impl Default for Schedule {
    fn default() -> Self {
        Self { shape: Shape::Cosine, warmup: 0.02, decay: 0.2, final_fraction: 0.1 }
    }
}

impl Schedule {
    /// The factor on the peak learning rate when `progress` (0 to 1, clamped) of the run is done.
    pub fn factor(&self, progress: f64) -> f64 {
        let progress = progress.clamp(0.0, 1.0);
        if progress < self.warmup {
            return progress / self.warmup;
        }
        let falling_from = match self.shape {
            Shape::Constant => return 1.0,
            Shape::Cosine | Shape::Linear => self.warmup,
            Shape::WarmupStableDecay => (1.0 - self.decay).max(self.warmup),
        };
        let length = 1.0 - falling_from;
        let fallen = if length > 0.0 { ((progress - falling_from) / length).max(0.0) } else { 0.0 };
        let remaining = match self.shape {
            Shape::Cosine => 0.5 * (1.0 + (std::f64::consts::PI * fallen).cos()),
            _ => 1.0 - fallen,
        };
        self.final_fraction + (1.0 - self.final_fraction) * remaining
    }
}

/// When a run ends: after a number of steps, after a time, or at the first of the two.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RunLength {
    /// Number of optimizer steps.
    pub steps: Option<u64>,
    /// Seconds of training, those before a resume included.
    pub seconds: Option<f64>,
}

impl RunLength {
    /// How much of the run is done, 0 to 1, when step `step` (from 0) is about to start after
    /// `elapsed` seconds. By steps, the first counts as one step done and the last as all, so that
    /// no step has the rate 0 of the warm-up's start. With neither limit it stays 0.
    pub fn progress(&self, step: u64, elapsed: f64) -> f64 {
        let by_steps = self.steps.map_or(0.0, |steps| (step + 1) as f64 / steps as f64);
        let by_time = self.seconds.map_or(0.0, |seconds| elapsed / seconds);
        by_steps.max(by_time).clamp(0.0, 1.0)
    }

    /// Whether the run is over before step `step` (from 0) starts after `elapsed` seconds.
    pub fn is_over(&self, step: u64, elapsed: f64) -> bool {
        self.steps.is_some_and(|steps| step >= steps) || self.seconds.is_some_and(|seconds| elapsed >= seconds)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn schedule(shape: Shape) -> Schedule {
        Schedule { shape, warmup: 0.1, decay: 0.25, final_fraction: 0.2 }
    }

    #[test]
    fn every_shape_warms_up_and_ends_where_it_should() {
        for (shape, end) in
            [(Shape::Cosine, 0.2), (Shape::Constant, 1.0), (Shape::Linear, 0.2), (Shape::WarmupStableDecay, 0.2)]
        {
            let schedule = schedule(shape);
            assert_eq!(schedule.factor(0.0), 0.0);
            assert_eq!(schedule.factor(0.05), 0.5);
            assert!((schedule.factor(0.1) - 1.0).abs() < 1e-12, "{shape:?}");
            assert!((schedule.factor(1.0) - end).abs() < 1e-12, "{shape:?}");
            assert_eq!(schedule.factor(2.0), schedule.factor(1.0));
        }
    }

    #[test]
    fn the_middle_of_each_shape() {
        // Half way from 0.1 to 1 is 0.55: both fall to the mean of peak and end there.
        assert!((schedule(Shape::Cosine).factor(0.55) - 0.6).abs() < 1e-12);
        assert!((schedule(Shape::Linear).factor(0.55) - 0.6).abs() < 1e-12);
        // A quarter of the way the cosine has fallen by (1 − cos 45°)/2 of the 0.8.
        let cosine = 1.0 - 0.8 * (1.0 - (std::f64::consts::PI / 4.0).cos()) / 2.0;
        assert!((schedule(Shape::Cosine).factor(0.325) - cosine).abs() < 1e-12);
        assert_eq!(schedule(Shape::WarmupStableDecay).factor(0.7), 1.0);
        assert!((schedule(Shape::WarmupStableDecay).factor(0.875) - 0.6).abs() < 1e-12);
    }

    #[test]
    fn the_ends_of_the_fractions_are_finite() {
        for warmup in [0.0, 1.0] {
            for shape in [Shape::Cosine, Shape::Linear, Shape::WarmupStableDecay, Shape::Constant] {
                let schedule = Schedule { shape, warmup, decay: 0.0, final_fraction: 0.0 };
                for progress in [0.0, 0.5, 1.0] {
                    let factor = schedule.factor(progress);
                    assert!((0.0..=1.0).contains(&factor), "{schedule:?} {progress} {factor}");
                }
            }
        }
    }

    #[test]
    fn progress_is_by_steps_or_time_whichever_is_further() {
        let steps = RunLength { steps: Some(4), seconds: None };
        assert_eq!((0..4).map(|step| steps.progress(step, 99.0)).collect::<Vec<_>>(), [0.25, 0.5, 0.75, 1.0]);
        assert!(!steps.is_over(3, 0.0) && steps.is_over(4, 0.0));
        let time = RunLength { steps: None, seconds: Some(10.0) };
        assert_eq!((time.progress(7, 2.5), time.progress(7, 20.0)), (0.25, 1.0));
        assert!(!time.is_over(1000, 9.9) && time.is_over(0, 10.0));
        let both = RunLength { steps: Some(100), seconds: Some(10.0) };
        assert_eq!(both.progress(0, 5.0), 0.5);
        assert!(both.is_over(100, 0.0) && both.is_over(0, 10.0));
    }
}
