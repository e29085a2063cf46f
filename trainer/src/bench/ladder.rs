//! `gradus bench ladder`: the versions of a kernel side by side, from naive to fast, each with what it gained.
//!
//! A subject is some work at one size; a rung is one way to do it. Each subject has a file, where rungs are added.

mod attention;
mod matmul;
mod mlstm;

use std::io::Write;

use serde_json::{Value, json};

use super::print;
use super::session::Session;
use super::stopwatch::{Measured, Prepare, Spread, measure};
use super::table::{self, Column, number};
use crate::error::{Result, TrainerError};
use crate::verbs::bench::LadderArguments;

const COLUMNS: [Column; 7] = [
    Column::Text("rung", 24),
    Column::Number("µs", 9),
    Column::Number("lowest", 9),
    Column::Number("highest", 9),
    Column::Number("TFLOP/s", 8),
    Column::Number("× first", 8),
    Column::Text("what got faster", 20),
];

/// On a software adapter lengths are this part of a GPU's.
const SOFTWARE_PART: usize = 32;

/// One way to do a subject's work.
pub struct Rung {
    /// Its name.
    pub name: String,
    /// What got faster, in one sentence.
    pub lesson: &'static str,
    /// Whether it is given its inputs in f16.
    pub half: bool,
    /// What records it. All rungs of a subject get the same inputs and give the same numbers, to rounding.
    pub prepare: Prepare,
}

/// Some work, and the ways to do it.
pub struct Subject {
    /// Its name.
    pub name: &'static str,
    /// Its sizes.
    pub sizes: String,
    /// Floating-point operations of the work, whatever a rung does beside it.
    pub flops: f64,
    /// The ways, from the first to the fastest.
    pub rungs: Vec<Rung>,
}

fn subjects(part: usize) -> Vec<Subject> {
    vec![matmul::subject(1024 / part), matmul::subject(4096 / part), attention::subject(part), mlstm::subject(part)]
}

/// Runs the sub-verb.
///
/// # Errors
/// No GPU, one without timestamps, whatever the launches meet.
pub fn run(arguments: &LadderArguments, out: &mut dyn Write) -> Result<()> {
    let session = Session::open(arguments.device, true)?;
    if session.gpu().is_none() {
        return Err(TrainerError::Usage {
            message: format!("the rungs are kernels of a GPU, and this runs on {}", session.device.name()),
            hint: Some("name a GPU with --device gpu; `gradus bench kernels` times the CPU too".into()),
        });
    }
    let is_small = session.is_processor();
    let half = session.gpu().is_some_and(|gpu| gpu.report().shader_f16);
    if !arguments.json {
        let small = if is_small { "sizes are small, so that it ends within a minute" } else { "" };
        print(out, &session.head(small));
        print(out, &table::head(&COLUMNS));
    }
    let mut rows = Vec::new();
    for subject in subjects(if is_small { SOFTWARE_PART } else { 1 }) {
        if !arguments.json {
            print(out, &format!("{} {}", subject.name, subject.sizes));
        }
        let mut first = None;
        for rung in subject.rungs.iter().filter(|rung| half || !rung.half) {
            let measured = measure(&session, &rung.prepare)?;
            if first.is_none() {
                first = measured.as_ref().ok().map(|spread| spread.median);
            }
            let times_first = measured.as_ref().ok().zip(first).map(|(spread, first)| first / spread.median);
            if arguments.json {
                rows.push(json_row(&subject, rung, &measured, times_first));
            } else {
                print(out, &line(&subject, rung, &measured, times_first));
            }
        }
    }
    if arguments.json {
        print(out, &format!("{:#}", session.json("ladder", rows)));
    }
    Ok(())
}

fn line(subject: &Subject, rung: &Rung, measured: &Measured, times_first: Option<f64>) -> String {
    let name = format!("  {}", rung.name);
    match measured {
        Ok(spread) => {
            let Spread { median, lowest, highest } = spread.times(1e6);
            let rate = number(subject.flops / spread.median / 1e12);
            let times_first = table::optional(times_first);
            let figures = [number(median), number(lowest), number(highest), rate, times_first];
            let cells: Vec<String> = [name].into_iter().chain(figures).chain([rung.lesson.into()]).collect();
            table::line(&COLUMNS, &cells)
        }
        Err(reason) => format!("{}  {reason}", table::line(&COLUMNS[..1], &[name])),
    }
}

fn json_row(subject: &Subject, rung: &Rung, measured: &Measured, times_first: Option<f64>) -> Value {
    let spread = measured.as_ref().ok();
    json!({
        "subject": subject.name,
        "sizes": subject.sizes,
        "rung": rung.name,
        "lesson": rung.lesson,
        "flops": subject.flops,
        "microseconds": spread.map(|spread| spread.times(1e6).json()),
        "tflops": spread.map(|spread| subject.flops / spread.median / 1e12),
        "times_first": times_first,
        "refused": measured.as_ref().err(),
    })
}

#[cfg(test)]
mod tests {
    use gradus_engine::ops::cast::cast;
    use gradus_engine::{DType, Error};

    use super::*;
    use crate::device_choice::DeviceChoice;

    /// Every rung gives what the first of its subject gives, to rounding.
    #[test]
    fn all_rungs_of_a_subject_agree() {
        let session = match Session::open(DeviceChoice::Gpu(None), true) {
            Ok(session) => session,
            Err(error) => {
                assert!(std::env::var("GRADUS_REQUIRE_GPU").as_deref() != Ok("1"), "GRADUS_REQUIRE_GPU=1, but {error}");
                return println!("skipped: {error}");
            }
        };
        let half = session.gpu().is_some_and(|gpu| gpu.report().shader_f16);
        // 40 and 3 are multiples of no tile.
        let subjects = [matmul::subject(40), matmul::subject(3), attention::subject(32), mlstm::subject(SOFTWARE_PART)];
        for subject in subjects {
            let run = |rung: &Rung| -> gradus_engine::Result<Vec<f32>> {
                let output = (rung.prepare)(&session)?()?;
                cast(&output.into(), DType::F32)?.tensor().to_vec()
            };
            let first = run(&subject.rungs[0]).unwrap();
            let scale = first.iter().fold(0f32, |most, x| most.max(x.abs()));
            assert!(scale > 0.01 && scale.is_finite(), "{}: {scale}", subject.name);
            for rung in subject.rungs.iter().filter(|rung| half || !rung.half) {
                let result = match run(rung) {
                    // No matrix units, or sizes that they cannot take.
                    Err(Error::Limit { .. }) if rung.half => continue,
                    result => result.unwrap(),
                };
                assert_eq!(result.len(), first.len());
                let worst = result.iter().zip(&first).map(|(a, b)| (a - b).abs()).fold(0f32, f32::max);
                // An f16 has 11 bits, and the mLSTM divides a sum of rounded terms.
                let bound = if rung.half { 4e-3 } else { 2e-5 };
                assert!(worst <= bound * scale, "{}, {}: off by {worst} of {scale}", subject.name, rung.name);
            }
        }
    }

    #[test]
    fn subjects_have_rungs_with_lessons_and_figures_follow_from_times() {
        for subject in subjects(1) {
            assert!(subject.rungs.len() >= 2 && subject.flops > 0.0);
            assert!(subject.rungs.iter().all(|rung| !rung.lesson.is_empty()));
        }
        let subject = matmul::subject(1024);
        assert_eq!(subject.flops, 2f64.powi(31));
        let text = line(&subject, &subject.rungs[0], &Ok(Spread::of(vec![2e-3])), Some(1.0));
        assert!(text.starts_with("  naive") && text.contains("2000") && text.contains("1.07"), "{text}");
        let json = json_row(&subject, &subject.rungs[1], &Ok(Spread::of(vec![1e-3])), Some(2.0));
        assert_eq!((json["times_first"].as_f64(), json["microseconds"]["median"].as_f64()), (Some(2.0), Some(1000.0)));
    }
}
