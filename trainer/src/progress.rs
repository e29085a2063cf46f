//! What the user sees of a run: the first screen, then a bar, or lines where there is no terminal.
//!
//! All of it goes to standard error; standard output is for the text that a model writes.

use std::io::{IsTerminal, Write};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::figures;
use crate::run_folder::{EvaluationRow, Row, TrainRow};
use crate::schedule::RunLength;
use crate::training::ceiling::Ceiling;
use crate::training::memory::Plan;

/// What is said before the first step.
#[derive(Clone, Debug)]
pub struct FirstScreen {
    /// The device's name.
    pub device: String,
    /// Why it was chosen.
    pub why: String,
    /// The model's name.
    pub model: String,
    /// Number of parameters.
    pub parameters: u64,
    /// The device memory that the run will need.
    pub memory: Plan,
    /// Where the text is from.
    pub data: String,
    /// How much there is to train on, and held out.
    pub data_sizes: [String; 2],
    /// Batches of a step, sequences of each, and tokens of these.
    pub step: [usize; 3],
    /// When the run ends.
    pub length: RunLength,
    /// The run's folder.
    pub folder: String,
    /// What else the user should know.
    pub notes: Vec<String>,
}

impl FirstScreen {
    /// Its lines.
    pub fn text(&self) -> String {
        let [train, held_out] = &self.data_sizes;
        let [accumulation, batch, context] = self.step;
        let accumulation = if accumulation > 1 { format!("{accumulation} x ") } else { String::new() };
        let steps = self.length.steps.map(|steps| format!("{steps} steps"));
        let time = self.length.seconds.map(figures::time);
        let length = [steps, time].into_iter().flatten().collect::<Vec<_>>().join(" or ");
        let mut lines = vec![
            format!("device   {} ({})", self.device, self.why),
            format!("model    {}, {} parameters", self.model, figures::count(self.parameters as f64)),
            memory_line(&self.memory),
            format!("data     {}: {} to train on, {} held out", self.data, train, held_out),
            format!("steps    {accumulation}{batch} x {context} tokens; the run ends after {length}"),
            format!("folder   {}", self.folder),
        ];
        lines.extend(self.notes.iter().map(|note| format!("note     {note}")));
        lines.join("\n") + "\n"
    }
}

/// The plan by its parts.
fn memory_line(plan: &Plan) -> String {
    let parts = [
        ("weights", plan.weights),
        ("optimizer", plan.moments),
        ("gradients", plan.gradients),
        ("activations", plan.activations),
        ("workspace", plan.workspace),
    ];
    let parts = parts.map(|(name, bytes)| format!("{name} {}", figures::bytes(bytes))).join(", ");
    format!("memory   {} planned: {parts}", figures::bytes(plan.total()))
}

/// The bar or the lines of a run.
pub struct Progress {
    length: RunLength,
    show: Show,
    log_every: u64,
    first_step: Option<(u64, f64)>,
    loss: Smoothed,
    validation: Option<f64>,
    /// What the device does at most, and the operations of a token.
    ceiling: Option<(Ceiling, f64)>,
}

/// A mean over about the last `1 / (1 - KEPT)` values in which older ones weigh exponentially less. Dividing by the sum of
/// weights makes it one from the first value on (the bias correction of Adam, arXiv 1412.6980, section 3).
#[derive(Debug, Default)]
struct Smoothed {
    sum: f64,
    weights: f64,
}

impl Smoothed {
    const KEPT: f64 = 0.98;

    /// Takes a value; one that is not finite is left out.
    fn add(&mut self, value: f64) {
        if value.is_finite() {
            self.sum = Self::KEPT * self.sum + (1.0 - Self::KEPT) * value;
            self.weights = Self::KEPT * self.weights + (1.0 - Self::KEPT);
        }
    }

    fn mean(&self) -> Option<f64> {
        (self.weights > 0.0).then(|| self.sum / self.weights)
    }
}

/// Bits a byte of text with their unit and what stands before them; nothing where they are not known.
pub fn bits_per_byte(before: &str, bits: f64) -> String {
    if bits.is_nan() { String::new() } else { format!("{before}{bits:.4} bits per byte") }
}

enum Show {
    Bar(ProgressBar),
    Lines(Box<dyn Write + Send>),
}

/// The bar counts thousandths of the run, which has no known number of steps if it ends by time.
const BAR_LENGTH: f64 = 1000.0;

impl Progress {
    /// A bar if standard error is a terminal, else a line every `log_every` steps.
    pub fn new(length: RunLength, log_every: u64) -> Self {
        if !std::io::stderr().is_terminal() {
            return Self::lines(length, log_every, Box::new(std::io::stderr()));
        }
        let bar = ProgressBar::with_draw_target(Some(BAR_LENGTH as u64), ProgressDrawTarget::stderr_with_hz(10));
        if let Ok(style) = ProgressStyle::with_template("{wide_bar} {percent:>3}%\n{msg}") {
            bar.set_style(style);
        }
        bar.enable_steady_tick(Duration::from_millis(500));
        Self::with(length, Show::Bar(bar), log_every)
    }

    /// Lines, to anything that takes text.
    pub fn lines(length: RunLength, log_every: u64, out: Box<dyn Write + Send>) -> Self {
        Self::with(length, Show::Lines(out), log_every.max(1))
    }

    fn with(length: RunLength, show: Show, log_every: u64) -> Self {
        Self { length, show, log_every, first_step: None, loss: Smoothed::default(), validation: None, ceiling: None }
    }

    /// Whether it is a bar.
    pub fn is_bar(&self) -> bool {
        matches!(self.show, Show::Bar(_))
    }

    /// From now on speeds are shown as shares of a ceiling too; training on a token takes `flops` operations.
    pub fn compare(&mut self, ceiling: Ceiling, flops: f64) {
        self.ceiling = Some((ceiling, flops));
    }

    /// A speed in words: "16.3 k tokens/s, 42 % of 31.0 TFLOP/s".
    pub fn speed(&self, tokens_per_second: f64) -> String {
        let speed = format!("{} tokens/s", figures::count(tokens_per_second));
        let Some((ceiling, flops)) = self.ceiling else { return speed };
        let percent = 100.0 * tokens_per_second * flops / ceiling.flops;
        let software = if ceiling.software { " of a software adapter" } else { "" };
        format!("{speed}, {percent:.0} % of {}FLOP/s{software}", figures::count(ceiling.flops))
    }

    /// Takes in the rows of a run before it goes on.
    pub fn remember(&mut self, rows: &[Row]) {
        for row in rows {
            match row {
                Row::Train(row) => self.loss.add(row.loss),
                Row::Evaluation(row) => self.validation = Some(row.validation_loss),
                Row::Sample(_) => {}
            }
        }
    }

    /// The mean of the last losses, nats a token.
    pub fn smoothed(&self) -> Option<f64> {
        self.loss.mean()
    }

    /// Text above the bar, or among the lines.
    pub fn say(&mut self, text: &str) {
        match &mut self.show {
            Show::Bar(bar) => bar.println(text),
            // Nobody may be reading any more; the run goes on and its files tell the rest.
            Show::Lines(out) => _ = writeln!(out, "{text}"),
        }
    }

    /// A training step is done; `memory` bytes of tensors are alive.
    pub fn step(&mut self, row: &TrainRow, memory: u64) {
        self.loss.add(row.loss);
        let [learning, speed] = self.line(row, memory);
        match &mut self.show {
            Show::Bar(bar) => {
                bar.set_position((self.length.progress(row.step.saturating_sub(1), row.seconds) * BAR_LENGTH) as u64);
                bar.set_message(format!("{learning}\n{speed}"));
            }
            Show::Lines(out) => {
                if row.step == 1 || row.step.is_multiple_of(self.log_every) {
                    _ = writeln!(out, "{learning}, {speed}");
                }
            }
        }
    }

    /// An evaluation is done.
    pub fn evaluation(&mut self, row: &EvaluationRow) {
        self.validation = Some(row.validation_loss);
        self.say(&format!("step {}: validation loss {:.4}{}", row.step, row.validation_loss, row.more()));
    }

    /// The model has written a text. Control characters, with which it could make a terminal do anything, become U+FFFD.
    pub fn sample(&mut self, text: &str) {
        let shown = |c: char| if c.is_control() && c != '\t' { char::REPLACEMENT_CHARACTER } else { c };
        let line = |line: &str| format!("  | {}", line.chars().map(shown).collect::<String>());
        self.say(&text.split('\n').map(line).collect::<Vec<_>>().join("\n"));
    }

    /// The last word: the bar goes away.
    pub fn finish(&mut self) {
        if let Show::Bar(bar) = &self.show {
            bar.finish_and_clear();
        }
    }

    /// What is learnt, and how fast.
    fn line(&mut self, row: &TrainRow, memory: u64) -> [String; 2] {
        let (first, started) = *self.first_step.get_or_insert((row.step, row.seconds));
        let of = self.length.steps.map_or(String::new(), |steps| format!("/{steps}"));
        let smoothed = self.loss.mean().map_or(String::new(), |loss| format!(" (smoothed {loss:.4})"));
        let bits = bits_per_byte(", ", row.bits_per_byte);
        let validation = self.validation.map_or(String::new(), |loss| format!(", validation {loss:.4}"));
        let skipped = if row.skipped { ", skipped: not finite" } else { "" };
        let learning = format!("step {}{of}, loss {:.4}{smoothed}{bits}{validation}{skipped}", row.step, row.loss);
        let left = self.left(row, first, started);
        let left = left.map_or(String::new(), |left| format!(", {} left", figures::time(left)));
        let speed = format!(
            "rate {:.2e}, gradient norm {:.3}, {}, {}{left}",
            row.learning_rate,
            row.gradient_norm,
            self.speed(row.tokens_per_second),
            figures::bytes(memory)
        );
        [learning, speed]
    }

    /// Seconds until the run ends: by the clock, by the steps at the speed so far, or the less of both.
    fn left(&self, row: &TrainRow, first: u64, started: f64) -> Option<f64> {
        let by_time = self.length.seconds.map(|limit| limit - row.seconds);
        let by_steps = self.length.steps.filter(|_| row.step > first).map(|steps| {
            let pace = (row.seconds - started) / (row.step - first) as f64;
            steps.saturating_sub(row.step) as f64 * pace
        });
        [by_time, by_steps].into_iter().flatten().reduce(f64::min)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::{Arc, Mutex};

    #[derive(Clone, Default)]
    struct Shared(Arc<Mutex<Vec<u8>>>);

    impl Write for Shared {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    fn row(step: u64, seconds: f64) -> TrainRow {
        TrainRow {
            step,
            tokens: step * 2048,
            loss: 1.5,
            bits_per_byte: 1.5 / std::f64::consts::LN_2,
            learning_rate: 1e-3,
            gradient_norm: 1.0,
            loss_scale: 1.0,
            skipped: false,
            seconds,
            tokens_per_second: 16_345.0,
        }
    }

    fn said(length: RunLength, log_every: u64, act: impl FnOnce(&mut Progress)) -> Vec<String> {
        let out = Shared::default();
        act(&mut Progress::lines(length, log_every, Box::new(out.clone())));
        let bytes = out.0.lock().unwrap().clone();
        String::from_utf8(bytes).unwrap().lines().map(String::from).collect()
    }

    #[test]
    fn lines_say_step_loss_bits_speed_and_time_left() {
        let length = RunLength { steps: Some(40), seconds: None };
        let lines = said(length, 10, |progress| {
            for step in 1..=20 {
                progress.step(&row(step, 2.0 * step as f64), 412 << 20);
            }
            progress.evaluation(&EvaluationRow {
                step: 20,
                validation_loss: 1.25,
                validation_bits_per_byte: 1.8034,
                accuracy: None,
            });
            progress.sample("fn a\n\u{1b}[2J");
            progress.step(&row(30, 60.0), 412 << 20);
        });
        let loss = "loss 1.5000 (smoothed 1.5000), 2.1640 bits per byte";
        let speed = "rate 1.00e-3, gradient norm 1.000, 16.3 k tokens/s, 412 MiB";
        assert_eq!(lines[0], format!("step 1/40, {loss}, {speed}"));
        assert_eq!(lines[1], format!("step 10/40, {loss}, {speed}, 1m00s left"));
        assert_eq!(lines[3], "step 20: validation loss 1.2500, 1.8034 bits per byte");
        assert_eq!(lines[4..6], ["  | fn a", "  | \u{fffd}[2J"]);
        assert_eq!(lines[6], format!("step 30/40, {loss}, validation 1.2500, {speed}, 20s left"));
        assert_eq!(lines.len(), 7);
    }

    #[test]
    fn speeds_are_shown_as_shares_of_the_ceiling() {
        let length = RunLength { steps: Some(40), seconds: None };
        let ceiling = Ceiling { flops: 1e12, rows: 4096, software: false };
        let lines = said(length, 1, |progress| {
            // 16345 · 26 M of 10^12.
            progress.compare(ceiling, 26e6);
            progress.step(&row(1, 1.0), 412 << 20);
            progress.compare(Ceiling { flops: 5e9, software: true, ..ceiling }, 26e4);
            progress.step(&row(2, 2.0), 412 << 20);
        });
        assert!(lines[0].ends_with("16.3 k tokens/s, 42 % of 1 TFLOP/s, 412 MiB"), "{}", lines[0]);
        let share = "16.3 k tokens/s, 85 % of 5 GFLOP/s of a software adapter, 412 MiB";
        assert!(lines[1].contains(share), "{}", lines[1]);
    }

    #[test]
    fn the_nearer_of_both_limits_counts() {
        let length = RunLength { steps: Some(1000), seconds: Some(300.0) };
        let lines = said(length, 1, |progress| {
            progress.step(&row(1, 1.0), 0);
            progress.step(&row(2, 2.0), 0);
            let mut bad = row(999, 250.0);
            (bad.skipped, bad.loss, bad.bits_per_byte) = (true, f64::NAN, f64::NAN);
            progress.step(&bad, 0);
        });
        assert!(lines[1].ends_with("4m58s left"), "{}", lines[1]);
        assert!(
            lines[2].starts_with("step 999/1000, loss NaN (smoothed 1.5000), skipped: not finite, rate"),
            "{}",
            lines[2]
        );
        assert!(lines[2].ends_with(", 0s left"), "{}", lines[2]);
    }

    #[test]
    fn the_smoothed_loss_follows_and_is_known_again_after_a_resume() {
        let losses = |from: u64, to: u64| (from..to).map(|step| TrainRow { loss: 4.0 / step as f64, ..row(step, 1.0) });
        let mut whole = Smoothed::default();
        losses(1, 200).for_each(|row| whole.add(row.loss));
        // By hand: the weights of n values are 0.98^(n-1) … 0.98, 1.
        let weight = |step: u64| 0.98f64.powi(199 - step as i32);
        let expected =
            losses(1, 200).map(|row| weight(row.step) * row.loss).sum::<f64>() / (1..200).map(weight).sum::<f64>();
        assert!((whole.mean().unwrap() - expected).abs() < 1e-12);
        let length = RunLength { steps: Some(200), seconds: None };
        let mut resumed = Progress::lines(length, 1, Box::new(Shared::default()));
        assert_eq!(resumed.smoothed(), None);
        resumed.remember(&losses(1, 150).map(Row::Train).collect::<Vec<_>>());
        losses(150, 200).for_each(|row| resumed.step(&row, 0));
        assert_eq!(resumed.smoothed(), whole.mean());
    }

    #[test]
    fn the_first_screen_says_everything() {
        let screen = FirstScreen {
            device: "CPU, 2 threads".into(),
            why: "no GPU found".into(),
            model: "xlstm-tiny".into(),
            parameters: 867_104,
            memory: Plan {
                weights: 10 << 20,
                moments: 20 << 20,
                gradients: 9 << 20,
                activations: 21 << 20,
                workspace: 4 << 20,
                largest: 9 << 20,
            },
            data: "a.txt".into(),
            data_sizes: ["20 MiB".into(), "1 MiB".into()],
            step: [1, 8, 256],
            length: RunLength { steps: None, seconds: Some(300.0) },
            folder: "runs/x".into(),
            notes: vec!["one thing".into()],
        };
        let text = screen.text();
        for part in [
            "CPU, 2 threads (no GPU found)",
            "867 k parameters",
            "64 MiB planned: weights 10 MiB, optimizer 20 MiB, gradients 9 MiB, activations 21 MiB, workspace 4 MiB\n",
            "20 MiB to train on, 1 MiB held out",
            "8 x 256 tokens; the run ends after 5m00s",
            "runs/x",
            "note     one thing",
        ] {
            assert!(text.contains(part), "{part} in {text}");
        }
    }

    #[test]
    fn a_closed_pipe_does_not_stop_the_run() {
        struct Closed;
        impl Write for Closed {
            fn write(&mut self, _: &[u8]) -> std::io::Result<usize> {
                Err(std::io::ErrorKind::BrokenPipe.into())
            }
            fn flush(&mut self) -> std::io::Result<()> {
                Err(std::io::ErrorKind::BrokenPipe.into())
            }
        }
        let mut progress = Progress::lines(RunLength { steps: Some(2), seconds: None }, 1, Box::new(Closed));
        progress.step(&row(1, 1.0), 0);
        progress.say("text");
        progress.finish();
    }
}
