//! `gradus time`: how long a model takes to its first token, and for each that follows, over batch and prompt length.
//!
//! [`measure`] times, [`published`] holds what the authors of *xLSTM Scaling Laws* measured, to be printed beside it, and
//! [`inference_table`] keeps the times for the fitter. What a row
//! needs is planned before it runs; a row that cannot fit is left out and says what would.

mod inference_table;
mod measure;
mod published;

use std::io::Write;

use gradus_engine::Device;
use gradus_models::configuration::{Architecture, ModelConfiguration, presets};
use gradus_models::generate::Language;
use gradus_models::half::{self, Plan};
use gradus_models::{HalfModel, Model, folder};
use serde_json::{Value, json};

use crate::bench::session::Session;
use crate::bench::table::{self, Column, number, optional};
use crate::bench::{print, split};
use crate::configuration::layers::{Flags, Layers, ModelBase};
use crate::data::tokens::BYTE_VOCABULARY;
use crate::error::{Result, TrainerError};
use crate::figures;
use crate::model_source::{ModelSource, configuration_folder, weights_folder};
use crate::verbs::time::{Arguments, Precision};

use inference_table::{InferenceTable, Timed};
use measure::Measured;
use published::Published;

/// Of a card's memory, what a model may take: the driver and the display need some.
const USABLE: f64 = 0.96;
/// What a tensor may have on the devices that a plan without a device is for.
const USUAL_MOST_BYTES: u64 = (1 << 31) - 4;
/// The seed of random weights.
const SEED: u64 = 1;

const COLUMNS: [Column; 10] = [
    Column::Number("batch", 5),
    Column::Number("prefill", 7),
    Column::Number("first token, ms", 15),
    Column::Number("theirs", 7),
    Column::Number("step, ms", 9),
    Column::Number("theirs", 7),
    Column::Number("tokens/s", 8),
    Column::Number("recording, ms", 13),
    Column::Number("memory, MiB", 11),
    Column::Number("planned, MiB", 12),
];

/// What is timed: a configuration, and where its weights are, if anywhere.
struct Subject {
    configuration: ModelConfiguration,
    source: ModelSource,
}

impl Subject {
    fn find(model: &str) -> Result<Self> {
        let source = ModelSource::find(model)?;
        let configuration = match &source {
            ModelSource::Preset(name) => presets::find(name)?.model,
            ModelSource::File(path) => {
                Layers::read(None, Flags::default())?.resolve(ModelBase::File(path.clone()), BYTE_VOCABULARY)?.model
            }
            ModelSource::Folder(path) => folder::configuration(&configuration_folder(path)?)?,
        };
        configuration.validate()?;
        Ok(Self { configuration, source })
    }

    /// The name of the size in a table of times: that of the published tables for a preset of their sizes ("160M").
    fn size_name(&self) -> String {
        match &self.source {
            ModelSource::Preset(preset) => {
                let size = preset.split_once('-').map_or(*preset, |(_, size)| size);
                if size.starts_with(|first: char| first.is_ascii_digit()) { size.to_uppercase() } else { size.into() }
            }
            ModelSource::File(path) => path.file_stem().unwrap_or_default().to_string_lossy().into_owned(),
            ModelSource::Folder(path) => {
                let whole = path.canonicalize().unwrap_or_else(|_| path.clone());
                whole.file_name().unwrap_or_default().to_string_lossy().into_owned()
            }
        }
    }

    /// The model on a device; random weights where there are none.
    fn open(&self, device: &Device, precision: Precision) -> Result<Box<dyn Language>> {
        let configuration = self.configuration.clone();
        Ok(match (&self.source, precision) {
            (ModelSource::Folder(path), Precision::F16) => Box::new(HalfModel::load(&weights_folder(path)?, device)?),
            (ModelSource::Folder(path), Precision::F32) => Box::new(folder::load(&weights_folder(path)?, device)?),
            (_, Precision::F16) => Box::new(HalfModel::random(configuration, device, SEED)?),
            (_, Precision::F32) => Box::new(Model::new(configuration, device, SEED)?),
        })
    }
}

/// One row: a batch and a prompt length, with what they need.
#[derive(Clone, Copy)]
struct Row {
    batch: usize,
    prefill: usize,
    plan: Plan,
}

/// Every combination asked for, planned.
fn rows(arguments: &Arguments, model: &ModelConfiguration, most_bytes: u64) -> Vec<Row> {
    let generate = arguments.generate as usize;
    let each = |&batch: &u64| {
        arguments.prefill.iter().map(move |&prefill| {
            let (batch, prefill) = (batch as usize, prefill as usize);
            let capacity = measure::capacity(prefill, generate);
            Row { batch, prefill, plan: Plan::new(model, batch, prefill, capacity, most_bytes) }
        })
    };
    arguments.batch.iter().flat_map(each).collect()
}

/// Runs the verb.
///
/// # Errors
/// An unknown model, sizes that the device cannot run, and whatever fails while it is timed. A row that does not fit into
/// memory is no failure, unless none does.
pub fn run(arguments: &Arguments, out: &mut dyn Write) -> Result<()> {
    let subject = Subject::find(&arguments.model)?;
    if arguments.plan {
        return plan(arguments, &subject.configuration, out);
    }
    let session = Session::open(arguments.device, arguments.split)?;
    let has_half = session.gpu().is_some_and(|gpu| gpu.report().shader_f16);
    let precision = arguments.precision.unwrap_or(if has_half { Precision::F16 } else { Precision::F32 });
    let most_bytes = session.gpu().map_or(USUAL_MOST_BYTES, |gpu| gpu.report().limits.max_storage_buffer_binding_size);
    let memory = arguments.memory.or_else(|| session.gpu()?.report().memory);
    let rows = rows(arguments, &subject.configuration, most_bytes);
    // Nothing is allocated for what cannot run: not even the weights.
    let half = precision == Precision::F16;
    let fits =
        |row: &Row| if half { refusal(&row.plan, memory, most_bytes, &subject.configuration, *row) } else { None };
    if let Some(reasons) = rows.iter().map(fits).collect::<Option<Vec<String>>>() {
        return Err(TrainerError::Usage {
            message: reasons.first().cloned().unwrap_or_default(),
            hint: Some(
                "give smaller --batch or --prefill, or a smaller model; --plan prints what each row needs".into(),
            ),
        });
    }
    let kept = match &arguments.csv {
        Some(path) => {
            let name = arguments.name.clone().unwrap_or_else(|| subject.size_name());
            let (configuration, device) = (&subject.configuration, session.device.name());
            Some(InferenceTable::open(path, Timed { configuration, name, precision: precision.name(), device })?)
        }
        None => None,
    };
    let model = subject.open(&session.device, precision)?;
    if arguments.split {
        return split_step(&session, model.as_ref(), &rows[0], arguments, out);
    }
    let mut printed = Vec::new();
    if !arguments.json {
        print(out, &session.head(&remark(arguments, &subject, precision)));
        print(out, &table::head(&COLUMNS));
    }
    for row in &rows {
        let theirs = published::find(&subject.configuration, row.batch, row.prefill);
        let measured = match fits(row) {
            Some(reason) => Err(reason),
            None => measure::measure(model.as_ref(), row.batch, row.prefill, arguments.generate as usize)?,
        };
        if let (Some(table), Ok(measured)) = (&kept, &measured) {
            table.keep(row.batch, row.prefill, measured)?;
        }
        if arguments.json {
            printed.push(json_row(row, &measured, theirs.as_ref(), half));
        } else {
            match &measured {
                Ok(measured) => print(out, &table::line(&COLUMNS, &cells(row, measured, theirs.as_ref(), half))),
                Err(reason) => print(out, &format!("{:>5}  {:>7}  {reason}", row.batch, row.prefill)),
            }
        }
    }
    if arguments.json {
        let mut object = session.json("time", printed);
        object["model"] = json!(arguments.model);
        object["precision"] = json!(precision.name());
        object["generate"] = json!(arguments.generate);
        print(out, &format!("{object:#}"));
    }
    if let (Some(table), false) = (&kept, arguments.json) {
        print(out, &format!("\nkept in {}; gradus report takes the folder that it is in", table.path().display()));
    }
    session.keep_kernels();
    Ok(())
}

/// Why a row cannot run, and what could; `None` if it can.
fn refusal(plan: &Plan, memory: Option<u64>, most: u64, model: &ModelConfiguration, row: Row) -> Option<String> {
    if plan.largest > most {
        return Some(format!(
            "the largest tensor has {}, and the device allows {}; take a smaller batch, prefill or model",
            figures::bytes(plan.largest),
            figures::bytes(most)
        ));
    }
    let have = (memory? as f64 * USABLE) as u64;
    if plan.total() <= have {
        return None;
    }
    let fitting = |plan: Plan| plan.total() <= have;
    let with_prefill = |prefill: usize| Plan::new(model, row.batch, prefill, prefill + 1, most);
    let halves = |most: usize| std::iter::successors(Some(most), |size| (*size > 1).then_some(size / 2));
    let what = halves(row.prefill)
        .find(|&prefill| fitting(with_prefill(prefill)))
        .map(|prefill| format!("a prefill of {prefill} fits at this batch"))
        .or_else(|| {
            let with_batch = |batch| Plan::new(model, batch, row.prefill, row.prefill + 1, most);
            let batch = halves(row.batch).find(|&batch| fitting(with_batch(batch)))?;
            Some(format!("a batch of {batch} fits at this prefill"))
        })
        .unwrap_or_else(|| "nothing of this model fits".into());
    Some(format!(
        "needs {}, of {} usable: weights {}, state {}, working memory {}; {what}",
        figures::bytes(plan.total()),
        figures::bytes(have),
        figures::bytes(plan.weights),
        figures::bytes(plan.state),
        figures::bytes(plan.working)
    ))
}

/// The line that says how the figures came about.
fn remark(arguments: &Arguments, subject: &Subject, precision: Precision) -> String {
    let weights = if matches!(subject.source, ModelSource::Folder(_)) { "" } else { "random " };
    let theirs = match subject.configuration.architecture {
        Architecture::Xlstm => "theirs: an H100, bf16, arXiv 2510.02228 (no step times of the xLSTM)",
        Architecture::Transformer => "theirs: an H100, bf16, arXiv 2510.02228",
    };
    format!(
        "{}, {weights}weights in {}; medians; a step is the mean of {} tokens after the prompt; {theirs}",
        arguments.model,
        precision.name(),
        arguments.generate
    )
}

fn cells(row: &Row, measured: &Measured, theirs: Option<&Published>, half: bool) -> Vec<String> {
    let mebibytes = |bytes: u64| number(bytes as f64 / f64::from(1 << 20));
    vec![
        row.batch.to_string(),
        row.prefill.to_string(),
        number(1e3 * measured.first.median),
        optional(theirs.and_then(|theirs| theirs.first_ms)),
        number(1e3 * measured.step.median),
        optional(theirs.and_then(|theirs| theirs.step_ms)),
        number(row.batch as f64 / measured.step.median),
        number(1e3 * measured.recording),
        measured.memory.map_or_else(|| "-".into(), mebibytes),
        if half { mebibytes(row.plan.total()) } else { "-".into() },
    ]
}

fn json_row(
    row: &Row,
    measured: &std::result::Result<Measured, String>,
    theirs: Option<&Published>,
    half: bool,
) -> Value {
    let mut object = json!({ "batch": row.batch, "prefill": row.prefill });
    if half {
        object["planned_bytes"] = plan_json(&row.plan);
    }
    if let Some(theirs) = theirs {
        object["published"] = json!({ "first_token_ms": theirs.first_ms, "step_ms": theirs.step_ms });
    }
    match measured {
        Ok(measured) => {
            object["first_token_seconds"] = measured.first.json();
            object["step_seconds"] = measured.step.json();
            object["recording_seconds_per_step"] = json!(measured.recording);
            object["tokens_per_second"] = json!(row.batch as f64 / measured.step.median);
            object["memory_bytes"] = json!(measured.memory);
        }
        Err(reason) => object["refused"] = json!(reason),
    }
    object
}

fn plan_json(plan: &Plan) -> Value {
    json!({
        "weights": plan.weights,
        "state": plan.state,
        "working": plan.working,
        "total": plan.total(),
        "largest_tensor": plan.largest,
    })
}

/// The columns of a plan.
const PLAN: [Column; 8] = [
    Column::Number("batch", 5),
    Column::Number("prefill", 7),
    Column::Number("weights", 9),
    Column::Number("state", 9),
    Column::Number("working", 9),
    Column::Number("total", 9),
    Column::Number("largest tensor", 14),
    Column::Text("fits", 40),
];

/// Prints what every row needs, and, with `--memory`, whether it fits.
fn plan(arguments: &Arguments, model: &ModelConfiguration, out: &mut dyn Write) -> Result<()> {
    half::check(model)?;
    let rows = rows(arguments, model, USUAL_MOST_BYTES);
    let fits = |row: &Row| refusal(&row.plan, arguments.memory, USUAL_MOST_BYTES, model, *row);
    if arguments.json {
        let object = |row: &Row| {
            let refused = fits(row);
            json!({ "batch": row.batch, "prefill": row.prefill, "planned_bytes": plan_json(&row.plan), "refused": refused })
        };
        let rows: Vec<Value> = rows.iter().map(object).collect();
        print(out, &format!("{:#}", json!({ "model": arguments.model, "precision": "f16", "rows": rows })));
        return Ok(());
    }
    print(out, &table::head(&PLAN));
    for row in &rows {
        let Plan { weights, state, working, largest } = row.plan;
        let verdict = match (fits(row), arguments.memory) {
            (Some(reason), _) => reason,
            (None, Some(memory)) => format!("yes, of {}", figures::bytes(memory)),
            (None, None) => String::new(),
        };
        let sizes = [weights, state, working, row.plan.total(), largest].map(figures::bytes);
        let cells = [row.batch.to_string(), row.prefill.to_string()].into_iter().chain(sizes).chain([verdict]);
        print(out, &table::line(&PLAN, &cells.collect::<Vec<_>>()));
    }
    Ok(())
}

/// Where the device's time of a step goes.
fn split_step(
    session: &Session,
    model: &dyn Language,
    row: &Row,
    arguments: &Arguments,
    out: &mut dyn Write,
) -> Result<()> {
    let Some(gpu) = session.gpu() else {
        return Err(TrainerError::Usage {
            message: "--split: the times of single kernels come from a GPU's own clock".into(),
            hint: Some("add --device gpu".into()),
        });
    };
    let steps = arguments.generate as usize;
    let timings = measure::steps_alone(model, gpu, row.batch, row.prefill, steps)?;
    let remark = format!("{}, batch {}, after {} tokens", arguments.model, row.batch, row.prefill);
    split::show(session, "time split", &timings, steps as u64, (&remark, arguments.json), out);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::verbs::{CommandLine, Verb};
    use clap::Parser;

    const GIB: u64 = 1 << 30;

    /// What the verb prints.
    fn printed(line: &str) -> Result<String> {
        let words = ["gradus", "time"].into_iter().chain(line.split_whitespace());
        let Verb::Time(arguments) = CommandLine::try_parse_from(words).unwrap().verb() else { panic!("{line}") };
        let mut out = Vec::new();
        run(&arguments, &mut out)?;
        Ok(String::from_utf8(out).unwrap())
    }

    #[test]
    fn every_batch_and_prefill_is_timed() {
        let text = printed("--model xlstm-tiny --device cpu --batch 1,2 --prefill 5,9 --generate 2 --json").unwrap();
        let object: Value = serde_json::from_str(&text).unwrap();
        let rows = object["rows"].as_array().unwrap();
        let places: Vec<_> = rows.iter().map(|row| (row["batch"].as_u64(), row["prefill"].as_u64())).collect();
        assert_eq!(places, [(1, 5), (1, 9), (2, 5), (2, 9)].map(|(batch, prefill)| (Some(batch), Some(prefill))));
        for row in rows {
            let figure = |name: &str| row[name]["median"].as_f64().unwrap();
            assert!(figure("first_token_seconds") > 0.0 && figure("step_seconds") > 0.0, "{row}");
            assert!(row["recording_seconds_per_step"].as_f64().unwrap() <= figure("step_seconds") * 3.0, "{row}");
        }
    }

    #[test]
    fn a_plan_needs_no_device_and_says_what_fits() {
        let text = printed("--model llama-7b --prefill 2048,65536 --memory 24GiB --plan").unwrap();
        let lines: Vec<&str> = text.lines().skip(2).collect();
        assert!(lines[0].contains("yes, of 24 GiB") && lines[1].contains("a prefill of 16384 fits"), "{text}");
        let object: Value =
            serde_json::from_str(&printed("--model xlstm-7b --memory 24GB --plan --json").unwrap()).unwrap();
        assert!(object["rows"][0]["refused"].is_null(), "{object}");
        assert_eq!(object["rows"][0]["planned_bytes"]["weights"], 13_731_645_440u64);
    }

    #[test]
    fn what_cannot_be_timed_is_refused() {
        let error = printed("--model xlstm-tny").unwrap_err().to_string();
        assert!(error.contains("did you mean"), "{error}");
        let error = printed("--model xlstm-tiny --device cpu --precision f16").unwrap_err().to_string();
        assert!(error.contains("take f32"), "{error}");
        let error = printed("--model xlstm-tiny --device cpu --split").unwrap_err().to_string();
        assert!(error.contains("--split"), "{error}");
    }

    fn row(name: &str, batch: usize, prefill: usize) -> (Row, ModelConfiguration) {
        let model = presets::find(name).unwrap().model;
        let plan = Plan::new(&model, batch, prefill, prefill + 100, USUAL_MOST_BYTES);
        (Row { batch, prefill, plan }, model)
    }

    #[test]
    fn models_of_7b_fit_cards_of_24_and_80_gib() {
        for (name, batch, prefill, memory, fits) in [
            ("xlstm-7b", 1, 65_536, 24, true),
            ("xlstm-7b", 32, 65_536, 80, true),
            ("llama-7b", 1, 8192, 24, true),
            ("llama-7b", 1, 65_536, 24, false),
            ("llama-7b", 1, 65_536, 80, true),
            ("xlstm-7b", 1, 1, 12, false),
        ] {
            let (row, model) = row(name, batch, prefill);
            let refused = refusal(&row.plan, Some(memory * GIB), USUAL_MOST_BYTES, &model, row);
            assert_eq!(refused.is_none(), fits, "{name}, {batch} x {prefill}: {refused:?}");
        }
    }

    #[test]
    fn a_refusal_says_what_would_fit() {
        let refused = |name, batch, prefill, memory| {
            let (row, model) = row(name, batch, prefill);
            refusal(&row.plan, Some(memory), USUAL_MOST_BYTES, &model, row).unwrap()
        };
        let text = refused("llama-7b", 1, 65_536, 24 * GIB);
        assert!(text.contains("a prefill of 16384 fits at this batch"), "{text}");
        assert!(refused("xlstm-7b", 1, 2048, GIB).contains("nothing of this model fits"));
    }
}
