//! The training loop. The loss and the optimizer's findings of a step are fetched while the next one runs.

use std::io::Write;

use gradus_engine::Device;
use gradus_engine::ops::optimizer::Report;

use super::best::Best;
use super::clock::{Clock, is_due, sample_seconds};
use super::evaluation::{accuracy, evaluate};
use super::sample::{Limit, write_sample};
use super::saving::{Saver, Snapshot};
use super::setup::Setup;
use super::step::Taken;
use crate::configuration::{Mode, OnNonFinite};
use crate::data::{Batch, Loader};
use crate::error::{Result, TrainerError};
use crate::figures;
use crate::interrupt::Interrupt;
use crate::progress::Progress;
use crate::run_folder::{EvaluationRow, Metrics, Position, Row, SampleRow, Saved, TrainRow, checkpoint};
use crate::schedule::RunLength;

/// So many steps in a row without a finite gradient end a run that skips such steps: it would never learn again.
const MOST_SKIPPED: u64 = 50;

/// The time of a text after an evaluation, as a share of that at the end.
const SHORT_SAMPLE_SHARE: f64 = 0.1;

/// A run under way.
pub struct Run {
    setup: Setup,
    interrupt: Interrupt,
    progress: Progress,
    clock: Clock,
    loader: Loader,
    metrics: Metrics,
    saver: Saver,
    /// The step whose loss is still on its way.
    taken: Option<Taken>,
    kernels_kept: bool,
    /// Steps in a row that were skipped.
    skipped: u64,
    /// Share of the run that is done.
    share: f64,
    /// The step that was saved last, and the best one by then.
    saved: Option<(u64, Option<u64>)>,
    best: Option<Best>,
    /// The step after which the run is to stop before its end.
    stop_at: Option<u64>,
    evaluated: Option<EvaluationRow>,
}

impl Run {
    /// Starts the threads of a run that was set up.
    ///
    /// # Errors
    /// The system's.
    pub fn new(setup: Setup, interrupt: Interrupt, progress: Progress) -> Result<Self> {
        let configuration = &setup.configuration;
        let train = &configuration.train;
        let mut clock = Clock::new(setup.started, setup.position.seconds);
        clock.begin(setup.position.tokens);
        let title = format!("{}, {}", configuration.name(), setup.folder.display());
        let best = configuration.checkpoint.best.then(|| Best::among(&setup.rows, &setup.folder)).flatten();
        let mut run = Self {
            loader: Loader::start(setup.batches.clone(), setup.position.window, train.batch, train.prefetch)?,
            metrics: Metrics::open(&setup.folder)?,
            saver: Saver::start(setup.folder.clone(), configuration.checkpoint.keep, title)?,
            taken: None,
            kernels_kept: false,
            skipped: 0,
            share: 0.0,
            saved: (setup.position.step > 0).then_some((setup.position.step, best.map(|best| best.step))),
            best,
            stop_at: None,
            evaluated: setup.rows.iter().rev().find_map(|row| match row {
                Row::Evaluation(row) if row.step == setup.position.step => Some(row.clone()),
                _ => None,
            }),
            clock,
            setup,
            interrupt,
            progress,
        };
        run.share = run.share_done(run.training_length());
        run.progress.remember(&run.setup.rows);
        Ok(run)
    }

    /// Makes the run stop after a step as if it were interrupted there.
    pub fn stopping_at(mut self, step: Option<u64>) -> Self {
        self.stop_at = step;
        self
    }

    /// Trains to the end, then writes a sample to `out` and the summary among the messages.
    ///
    /// # Errors
    /// What goes wrong; [`TrainerError::Interrupted`] after Ctrl-C, when everything is saved.
    pub fn finish_with_sample(mut self, terminal: bool, out: &mut dyn Write) -> Result<()> {
        let result = self.train();
        if result.is_err() {
            self.progress.finish();
        }
        // What is written already should be whole, also where the loop failed; the first error is the one that counts.
        let written = self.saver.wait();
        let whole = result?;
        self.note(written?);
        self.progress.finish();
        if !whole {
            let folder = self.setup.folder.display();
            self.progress.say(&format!(
                "saved at step {}; go on with: gradus train --resume {folder}",
                self.setup.position.step
            ));
            return if self.interrupt.requested() { Err(TrainerError::Interrupted) } else { Ok(()) };
        }
        let configuration = &self.setup.configuration;
        if let Some(tokenizer) = &self.setup.tokenizer {
            let (model, options) = (&self.setup.learner.model, &configuration.evaluation);
            let seconds = configuration.run_length().seconds.map(sample_seconds);
            let limit = Limit { tokens: options.sample_tokens, seconds };
            write_sample(model, tokenizer, options, limit, configuration.train.seed, terminal, out)?;
        }
        let summary = self.summary();
        self.progress.say(&summary);
        Ok(())
    }

    /// The steps, the last evaluation and the last checkpoint. Returns whether the run came to its end, and was not stopped
    /// before.
    ///
    /// # Errors
    /// What goes wrong.
    pub fn train(&mut self) -> Result<bool> {
        self.make_up_for_evaluation()?;
        let over = loop {
            let length = self.training_length();
            let (step, elapsed) = (self.setup.position.step, self.clock.elapsed());
            if length.is_over(step, elapsed) {
                break true;
            }
            if self.interrupt.requested() || self.stop_at.is_some_and(|stop| step >= stop) {
                break false;
            }
            self.step(length, elapsed)?;
            let (before, now) = (self.share, self.share_done(length));
            self.share = now;
            let step = self.setup.position.step;
            let (evaluation, checkpoint) = (&self.setup.configuration.evaluation, &self.setup.configuration.checkpoint);
            let evaluate = is_due(evaluation.every, evaluation.interval, step, before, now)
                && (evaluation.every.is_some() || self.is_worth_evaluating());
            let save = is_due(checkpoint.every, checkpoint.interval, step, before, now);
            if evaluate {
                self.evaluate()?;
            }
            if save {
                self.save()?;
            }
            let saved = self.saver.poll()?;
            self.note(saved);
        };
        self.fetch()?;
        if over {
            self.evaluate()?;
        }
        self.save()?;
        Ok(over && !self.interrupt.requested())
    }

    /// An interrupt may have come between a step and the evaluation that was due after it.
    fn make_up_for_evaluation(&mut self) -> Result<()> {
        let (step, evaluation) = (self.setup.position.step, &self.setup.configuration.evaluation);
        let Some(steps) = self.setup.configuration.run_length().steps.filter(|_| step > 0) else { return Ok(()) };
        let share = |step: u64| step as f64 / steps as f64;
        let due = is_due(evaluation.every, evaluation.interval, step, share(step - 1), share(step))
            && (evaluation.every.is_some() || self.is_worth_evaluating());
        if due { self.evaluate() } else { Ok(()) }
    }

    /// Evaluations at intervals of a short run would take longer than its training: between two of them there are as many
    /// steps as an evaluation has batches.
    fn is_worth_evaluating(&self) -> bool {
        let last = self.setup.rows.iter().rev().find_map(|row| match row {
            Row::Evaluation(row) => Some(row.step),
            Row::Train(_) | Row::Sample(_) => None,
        });
        self.setup.position.step >= last.unwrap_or(0) + self.setup.evaluation.len() as u64
    }

    fn training_length(&self) -> RunLength {
        let evaluation_tokens = self.setup.evaluation.iter().map(|batch| batch.inputs.len()).sum();
        self.clock.training_length(self.setup.configuration.run_length(), evaluation_tokens)
    }

    /// Share of the run that is done after the steps so far.
    fn share_done(&self, length: RunLength) -> f64 {
        let by_steps = length.steps.map_or(0.0, |steps| self.setup.position.step as f64 / steps as f64);
        let by_time = length.seconds.map_or(0.0, |seconds| self.clock.elapsed() / seconds);
        by_steps.max(by_time).min(1.0)
    }

    fn step(&mut self, length: RunLength, elapsed: f64) -> Result<()> {
        let Setup { configuration, learner, position, .. } = &mut self.setup;
        let factor = configuration.schedule.factor(length.progress(position.step, elapsed));
        let learning_rate = factor * configuration.optimizer.learning_rate;
        let batches: Vec<Batch> =
            (0..configuration.train.accumulation).map(|_| self.loader.next_batch()).collect::<Result<_>>()?;
        let tokens = position.tokens + batches.iter().map(|batch| batch.inputs.len() as u64).sum::<u64>();
        let taken = learner.step(position.step + 1, &batches, tokens, learning_rate)?;
        position.step += 1;
        position.tokens = tokens;
        position.window = self.loader.position();
        match self.taken.replace(taken) {
            Some(before) => self.record(before),
            None => Ok(()),
        }
    }

    /// Waits for the results of the last step.
    fn fetch(&mut self) -> Result<()> {
        match self.taken.take() {
            Some(taken) => self.record(taken),
            None => Ok(()),
        }
    }

    fn record(&mut self, taken: Taken) -> Result<()> {
        let step = taken.step;
        let (loss, report) = self.write_step(taken)?;
        if report.finite {
            self.skipped = 0;
            return Ok(());
        }
        let place = report.first_bad.and_then(|place| self.setup.learner.optimizer.parameters().get(place));
        let problem = place.map_or_else(
            || "the norm of all gradients together overflows".to_string(),
            |parameter| format!("the gradient of {} is not finite", parameter.name),
        );
        let problem = problem + overflow(self.setup.configuration.precision.mode, loss);
        self.non_finite(step, problem, &report)
    }

    /// Waits for the results of a step and writes its row.
    fn write_step(&mut self, taken: Taken) -> Result<(f64, Report)> {
        let (step, learning_rate, tokens) = (taken.step, taken.learning_rate, taken.tokens);
        let (loss, report) = taken.wait()?;
        self.keep_kernels();
        let Position { applied, loss_scale, in_a_row, .. } = &mut self.setup.position;
        (*applied, *loss_scale, *in_a_row) = (report.applied, report.next_loss_scale, report.in_a_row);
        let row = TrainRow {
            step,
            tokens,
            loss,
            bits_per_byte: loss / std::f64::consts::LN_2 / self.setup.corpus.bytes_per_token[0],
            learning_rate,
            gradient_norm: report.gradient_norm,
            loss_scale: report.loss_scale,
            skipped: !report.finite,
            tokens_per_second: self.clock.step_done(tokens),
            seconds: self.clock.elapsed(),
        };
        self.progress.step(&row, self.setup.device.memory().0);
        self.write(Row::Train(row))?;
        Ok((loss, report))
    }

    /// Once the first step is done all its kernels are compiled: what comes may be killed, and the next start should be fast.
    fn keep_kernels(&mut self) {
        if let (false, Device::Gpu(gpu)) = (self.kernels_kept, self.setup.learner.model.device()) {
            // A start without them is slower and else the same.
            if let Err(error) = gpu.keep_kernels() {
                self.progress.say(&format!("{error}; GRADUS_KERNEL_CACHE names another folder, or 0 for none"));
            }
        }
        self.kernels_kept = true;
    }

    /// Skips or stops, as configured. A loss scale that falls is how mixed precision finds the right one: only at its
    /// lowest a bad step says something about the run.
    fn non_finite(&mut self, step: u64, problem: String, report: &Report) -> Result<()> {
        self.skipped += 1;
        if report.next_loss_scale < report.loss_scale {
            let said = format!("step {step}: {problem}; the step is skipped, the loss scale falls to");
            self.progress.say(&format!("{said} {}", report.next_loss_scale));
            return Ok(());
        }
        let stop = match self.setup.configuration.precision.on_non_finite {
            OnNonFinite::Stop => Some(problem.clone()),
            OnNonFinite::Skip if self.skipped >= MOST_SKIPPED => {
                Some(format!("{problem}, as were those of {} steps before it", self.skipped - 1))
            }
            OnNonFinite::Skip => None,
        };
        match stop {
            None => {
                self.progress.say(&format!("step {step}: {problem}; the step is skipped"));
                Ok(())
            }
            Some(problem) => {
                // Nothing is lost: the optimizer has kept the weights as they were.
                if let Some(next) = self.taken.take() {
                    self.write_step(next)?;
                }
                self.save()?;
                Err(TrainerError::NonFinite { step, problem })
            }
        }
    }

    fn write(&mut self, row: Row) -> Result<()> {
        self.metrics.write(&row)?;
        self.setup.rows.push(row);
        Ok(())
    }

    fn evaluate(&mut self) -> Result<()> {
        self.fetch()?;
        let step = self.setup.position.step;
        if self.evaluated.as_ref().is_some_and(|row| row.step == step) {
            return Ok(());
        }
        let (model, batches, interrupt) = (&self.setup.learner.model, &self.setup.evaluation, &self.interrupt);
        let is_task = self.setup.corpus.task.is_some();
        let evaluated = self.clock.evaluation(|| {
            let loss = evaluate(model, batches, || interrupt.requested())?;
            let Some(loss) = loss else { return Ok(None) };
            if !is_task {
                return Ok(Some((loss, None)));
            }
            Ok(accuracy(model, batches, || interrupt.requested())?.map(|accuracy| (loss, Some(accuracy))))
        });
        let evaluated = evaluated.map_err(|error: TrainerError| error.at(&self.setup.device, step, "evaluation"))?;
        let Some((loss, accuracy)) = evaluated else { return Ok(()) };
        let bits = loss / std::f64::consts::LN_2 / self.setup.corpus.bytes_per_token[1];
        let row = EvaluationRow { step, validation_loss: loss, validation_bits_per_byte: bits, accuracy };
        self.progress.evaluation(&row);
        self.evaluated = Some(row.clone());
        let improved = Best::improved(self.best, &row).filter(|_| self.setup.configuration.checkpoint.best);
        self.write(Row::Evaluation(row))?;
        self.write_short_sample()?;
        if improved.is_some() {
            self.best = improved;
            self.save()?;
        }
        Ok(())
    }

    /// The text after an evaluation, in the metrics and among the messages.
    fn write_short_sample(&mut self) -> Result<()> {
        let configuration = &self.setup.configuration;
        let options = &configuration.evaluation;
        let Some(tokenizer) = self.setup.tokenizer.as_ref().filter(|_| options.short_sample_tokens > 0) else {
            return Ok(());
        };
        let seconds = configuration.run_length().seconds.map(|limit| SHORT_SAMPLE_SHARE * sample_seconds(limit));
        let limit = Limit { tokens: options.short_sample_tokens, seconds };
        let (model, seed, step) = (&self.setup.learner.model, configuration.train.seed, self.setup.position.step);
        let mut text = Vec::new();
        let written = self.clock.sample(|| write_sample(model, tokenizer, options, limit, seed, false, &mut text));
        written.map_err(|error| error.at(&self.setup.device, step, "sample"))?;
        let sample = String::from_utf8_lossy(&text).trim_end_matches('\n').to_owned();
        self.progress.sample(&sample);
        self.write(Row::Sample(SampleRow { step, sample }))
    }

    fn save(&mut self) -> Result<()> {
        self.fetch()?;
        let step = self.setup.position.step;
        let best = self.best.map(|best| best.step);
        if self.saved == Some((step, best)) {
            return Ok(());
        }
        let (seconds, device) = (self.clock.elapsed(), self.setup.device.description());
        let position = Position { seconds, device, ..self.setup.position.clone() };
        let Setup { learner, rows, corpus, .. } = &self.setup;
        let snapshot = self.clock.saving(|| Snapshot::take(learner, corpus.tokenizer.as_ref(), position, rows, best));
        let before =
            self.saver.save(snapshot.map_err(|error| error.at(&self.setup.device, step, "copy for a checkpoint"))?)?;
        self.note(before);
        self.saved = Some((step, best));
        Ok(())
    }

    fn note(&mut self, saved: Option<Saved>) {
        for folder in saved.iter().flat_map(|saved| &saved.left_over) {
            self.progress.say(&format!("the older checkpoint {} could not be removed", folder.display()));
        }
    }

    /// Steps, losses, the best of them, memory, and what to do next.
    fn summary(&self) -> String {
        let Setup { position, device, plan, folder, .. } = &self.setup;
        let folder = folder.display();
        let (tokens, time) = (figures::count(position.tokens as f64), figures::time(self.clock.elapsed()));
        let speed = self.clock.tokens_per_second();
        let speed = speed.map_or(String::new(), |speed| format!("; {} at the end", self.progress.speed(speed)));
        let mut lines = vec![format!("{} steps, {tokens} tokens in {time}{speed}", position.step)];
        let training = self.progress.smoothed().map(|loss| format!("training loss {loss:.4} (smoothed)"));
        let validation =
            self.evaluated.as_ref().map(|row| format!("validation loss {:.4}{}", row.validation_loss, row.more()));
        let losses: Vec<String> = [training, validation].into_iter().flatten().collect();
        lines.extend((!losses.is_empty()).then(|| losses.join(", ")));
        let earlier = self.best.filter(|best| best.step != position.step);
        lines.extend(earlier.map(|best| {
            let path = format!("{folder}/{}/{}", checkpoint::FOLDER, checkpoint::BEST);
            format!("best: step {}, validation loss {:.4}, kept as {path}", best.step, best.loss)
        }));
        let (_, peak) = device.memory();
        lines.push(format!("memory: {} at most, {} were planned", figures::bytes(peak), figures::bytes(plan.total())));
        lines.push(format!("run folder: {folder}"));
        let prompt = &self.setup.configuration.evaluation.sample_prompt;
        lines.push(format!("go on with: gradus generate --model {folder} --prompt {prompt:?}"));
        lines.join("\n")
    }

    /// The run's parts, for those who look at it from outside.
    pub fn setup(&self) -> &Setup {
        &self.setup
    }
}

/// What a loss that is not finite says in mixed precision: a loss scale is for gradients alone.
fn overflow(mode: Mode, loss: f64) -> &'static str {
    if mode == Mode::F32 || loss.is_finite() {
        return "";
    }
    ", nor is the loss: in the forward a number is beyond 65504, the largest of f16, which no loss scale mends, or is none; \
     --precision f32 has room for it"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_loss_beyond_f16_is_told_apart_from_a_loss_scale_that_is_too_large() {
        for loss in [f64::NAN, f64::INFINITY] {
            let said = overflow(Mode::Mixed, loss);
            assert!(said.contains("65504") && said.contains("--precision f32"), "{said}");
            assert_eq!(overflow(Mode::F32, loss), "");
        }
        assert_eq!(overflow(Mode::Mixed, 2.5), "");
    }
}
