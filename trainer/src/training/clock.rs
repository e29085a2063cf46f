//! Where the time of a run goes: how long it has taken, how fast it trains, and what the end needs.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use crate::schedule::RunLength;

/// Steps over which the speed is averaged.
const SPEED_STEPS: usize = 20;
/// Share of a run limited by time that the sample at its end may take, and the least of it in seconds.
const SAMPLE_SHARE: f64 = 0.01;
const SAMPLE_LEAST: f64 = 0.5;
/// An evaluation of n tokens takes about this share of training on them; used until one was measured.
const EVALUATION_SHARE: f64 = 0.4;

/// The time of a run.
#[derive(Debug)]
pub struct Clock {
    started: Instant,
    /// Seconds before the run was resumed.
    before: f64,
    /// Time in which no training was done: evaluation and copies for checkpoints.
    paused: Duration,
    /// Training time at which recent steps were done, and the tokens trained on by then.
    recent: VecDeque<(f64, u64)>,
    evaluation: Option<f64>,
    saving: f64,
}

impl Clock {
    /// A clock that started at `started`, for a run that took `before` seconds until it was resumed.
    pub fn new(started: Instant, before: f64) -> Self {
        Self { started, before, paused: Duration::ZERO, recent: VecDeque::new(), evaluation: None, saving: 0.0 }
    }

    /// Seconds of the run so far.
    pub fn elapsed(&self) -> f64 {
        self.before + self.started.elapsed().as_secs_f64()
    }

    fn training(&self) -> f64 {
        (self.started.elapsed() - self.paused).as_secs_f64()
    }

    /// Training begins now, after `tokens` before a resume.
    pub fn begin(&mut self, tokens: u64) {
        self.recent.push_back((self.training(), tokens));
    }

    /// A step is known to be done, the one that reached `tokens`. Returns tokens a second over the last steps.
    pub fn step_done(&mut self, tokens: u64) -> f64 {
        let now = self.training();
        self.recent.push_back((now, tokens));
        if self.recent.len() > SPEED_STEPS + 1 {
            self.recent.pop_front();
        }
        match self.recent.front() {
            Some((then, before)) if now > *then => (tokens - before) as f64 / (now - then),
            _ => 0.0,
        }
    }

    /// Tokens a second over the last steps.
    pub fn tokens_per_second(&self) -> Option<f64> {
        let ((then, before), (now, tokens)) = (self.recent.front()?, self.recent.back()?);
        (now > then && tokens > before).then(|| (tokens - before) as f64 / (now - then))
    }

    /// Runs an evaluation and remembers how long it took.
    pub fn evaluation<R>(&mut self, evaluate: impl FnOnce() -> R) -> R {
        let (result, taken) = self.pause(evaluate);
        self.evaluation = Some(taken);
        result
    }

    /// Has the model write the text after an evaluation, which counts as a part of it.
    pub fn sample<R>(&mut self, write: impl FnOnce() -> R) -> R {
        let (result, taken) = self.pause(write);
        self.evaluation = Some(self.evaluation.unwrap_or(0.0) + taken);
        result
    }

    /// Makes a copy for a checkpoint and remembers how long it took.
    pub fn saving<R>(&mut self, save: impl FnOnce() -> R) -> R {
        let (result, taken) = self.pause(save);
        self.saving = taken;
        result
    }

    fn pause<R>(&mut self, act: impl FnOnce() -> R) -> (R, f64) {
        let from = Instant::now();
        let result = act();
        self.paused += from.elapsed();
        (result, from.elapsed().as_secs_f64())
    }

    /// How much of the run's limit is left for training, if the end of the run, which evaluates `evaluation_tokens`,
    /// saves and writes a sample, is to be within the limit too.
    pub fn training_length(&self, length: RunLength, evaluation_tokens: usize) -> RunLength {
        let estimate = || Some(EVALUATION_SHARE * evaluation_tokens as f64 / self.tokens_per_second()?);
        let evaluation = self.evaluation.or_else(estimate).unwrap_or(0.0);
        let seconds = length.seconds.map(|limit| {
            let end = evaluation + self.saving + sample_seconds(limit);
            // However slow the end is, half of the time is for training.
            (limit - end).max(0.5 * limit)
        });
        RunLength { seconds, ..length }
    }
}

/// Seconds that the sample of a run limited to `limit` seconds may take.
pub fn sample_seconds(limit: f64) -> f64 {
    (SAMPLE_SHARE * limit).max(SAMPLE_LEAST)
}

/// Whether something that happens every `every` steps, or at each `interval` of the run, is due after `step` steps, when
/// the share of the run that is done went from `before` to `now` by the last one.
pub fn is_due(every: Option<u64>, interval: f64, step: u64, before: f64, now: f64) -> bool {
    // A share such as 3/10 is a little less than three tenths in binary.
    let passed = |share: f64| (share / interval + 1e-9).floor();
    match every {
        Some(every) => step.is_multiple_of(every),
        None => passed(now) > passed(before),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_due_at_intervals_is_due_once_for_each() {
        for (interval, steps, expected) in [(0.1, 50, 10), (0.25, 10, 4), (1.0, 7, 1), (0.1, 5, 5), (0.3, 1000, 3)] {
            let share = |step: u64| step as f64 / steps as f64;
            let due: Vec<u64> =
                (1..=steps).filter(|step| is_due(None, interval, *step, share(step - 1), share(*step))).collect();
            assert_eq!(due.len(), expected, "{interval} {steps} {due:?}");
        }
        let due: Vec<u64> = (1..=9).filter(|step| is_due(Some(3), 0.5, *step, 0.0, 1.0)).collect();
        assert_eq!(due, [3, 6, 9]);
    }

    #[test]
    fn the_end_is_kept_free_but_never_more_than_half() {
        let mut clock = Clock::new(Instant::now(), 0.0);
        let limit = |seconds| RunLength { steps: None, seconds: Some(seconds) };
        assert_eq!(clock.training_length(limit(300.0), 1000).seconds, Some(297.0));
        clock.evaluation = Some(4.0);
        clock.saving = 1.0;
        assert_eq!(clock.training_length(limit(300.0), 1000).seconds, Some(292.0));
        assert_eq!(clock.training_length(limit(6.0), 1000).seconds, Some(3.0));
        let steps = RunLength { steps: Some(5), seconds: None };
        assert_eq!(clock.training_length(steps, 1000), steps);
    }

    #[test]
    fn pauses_do_not_count_as_training() {
        let mut clock = Clock::new(Instant::now(), 100.0);
        clock.begin(0);
        clock.evaluation(|| std::thread::sleep(Duration::from_millis(60)));
        assert!(clock.elapsed() >= 100.06 && clock.training() < 0.05);
        assert!(clock.evaluation.is_some_and(|seconds| seconds >= 0.06));
        std::thread::sleep(Duration::from_millis(5));
        let speed = clock.step_done(1000);
        assert!(speed > 1000.0 / 0.06 && speed <= 1000.0 / 0.005, "{speed}");
    }
}
