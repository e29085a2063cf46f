//! `gradus sweep`: the runs of a scaling study, planned, made and collected.
//!
//! [`plan`] is the file that the user writes, [`shapes`] the models that follow from it, [`runs`] the runs with their exact
//! FLOPs, [`folder`] what a sweep keeps on disk, [`standing`] how far each run is, [`training`] makes them, [`results`] is
//! `runs.csv`, [`prediction`] says how long it will take, [`scaling`] makes a plan fit a time, [`screen`] what is printed.

pub mod folder;
pub mod plan;
pub mod prediction;
pub mod results;
pub mod runs;
pub mod scaling;
pub mod screen;
pub mod shapes;
pub mod standing;
pub mod training;

use std::collections::BTreeMap;
use std::io::Write;
use std::time::Instant;

use gradus_engine::device::gpu;

use crate::device_choice::DeviceChoice;
use crate::error::{Result, TrainerError};
use crate::figures;
use crate::inference::print;
use crate::interrupt::Interrupt;
use crate::report::ask::quoted;
use crate::verbs::sweep::{Action, Arguments};
use folder::{RESULTS_FILE, SweepFolder};
use plan::{Plan, Study};
use prediction::Prediction;
use runs::PlannedRun;
use standing::Standing;
use training::Trainer;

/// Runs the verb.
///
/// # Errors
/// Whatever is wrong with the plan, the data, the device or the folder; at the end, if run folders are damaged;
/// [`TrainerError::Interrupted`] after Ctrl-C, when everything is saved.
pub fn run(arguments: &Arguments, started: Instant, out: &mut dyn Write) -> Result<()> {
    if let Some(Action::Status { dir }) = &arguments.action {
        let sweep = SweepFolder::open(dir)?;
        let plan = sweep.plan()?;
        let standings = collect(&sweep, &plan, runs::runs(&plan)?)?;
        return print(out, &screen::status(&standings, &unplanned(&sweep, &standings))).map(drop);
    }
    let asked = asked_for(arguments)?;
    let interrupt = Interrupt::install()?;
    let device = arguments.device.unwrap_or(DeviceChoice::Auto).open(gpu::Options::from_environment())?;
    let mut trainer = Trainer::new(device, interrupt.clone());
    let Chosen { plan, planned, prediction, note } = choose(arguments, asked, &mut trainer)?;
    check_data(&mut trainer, &plan, &planned, arguments.allow_repeats)?;
    if arguments.dry_run {
        let prediction = match prediction {
            Some(prediction) => prediction,
            None => predict(arguments, &mut trainer, &planned)?,
        };
        return print(out, &(note + &screen::plan_table(&planned, &prediction))).map(drop);
    }
    let Some(path) = &arguments.out else {
        return Err(TrainerError::Usage {
            message: "a sweep needs a folder".into(),
            hint: Some("name one with --out DIR, or see what would be done with --dry-run".into()),
        });
    };
    let sweep = SweepFolder::create(path, &plan)?;
    let _lock = sweep.lock()?;
    if arguments.retry_failed {
        let mut failed = planned.iter().filter(|run| sweep.failure(&run.name).is_some());
        failed.try_for_each(|run| sweep.forget_failure(&run.name))?;
    }
    let standings = collect(&sweep, &plan, planned)?;
    print(out, &format!("device   {}\nfolder   {}\n{note}", trainer.device().name(), sweep.path().display()))?;
    let steps = make(&sweep, &mut trainer, &standings, out);
    // The table holds whatever was finished, also where the sweep stops here.
    let runs = standings.into_iter().map(|(run, _)| run).collect();
    let standings = collect(&sweep, &plan, runs)?;
    let steps = steps?;
    print(out, &screen::status(&standings, &unplanned(&sweep, &standings)))?;
    print(out, &overhead(started.elapsed().as_secs_f64(), steps))?;
    print(out, &next(&sweep, &plan))?;
    refuse_damaged(&sweep, &standings)
}

/// The plan of the command line, or that of the folder.
fn asked_for(arguments: &Arguments) -> Result<Plan> {
    match (&arguments.plan, &arguments.preset, &arguments.out) {
        (Some(path), _, _) => Plan::read(path),
        (None, Some(name), _) => Plan::preset(name),
        (None, None, Some(out)) => SweepFolder::open(out)?.plan(),
        (None, None, None) => Err(TrainerError::Usage {
            message: "a sweep needs a plan".into(),
            hint: Some(
                "name a plan's file, or --preset demo, or a sweep to go on with by --out DIR; docs/sweep.md".into(),
            ),
        }),
    }
}

/// The plan that is made, its runs, and what is said of it.
struct Chosen {
    plan: Plan,
    planned: Vec<PlannedRun>,
    /// Where one was needed to choose.
    prediction: Option<Prediction>,
    note: String,
}

/// The plan itself, or with `--budget` what of it fits. A sweep that has begun goes on with what was chosen then.
fn choose(arguments: &Arguments, asked: Plan, trainer: &mut Trainer) -> Result<Chosen> {
    let as_it_is = |plan: Plan, note: String| {
        let planned = runs::runs(&plan)?;
        Ok(Chosen { plan, planned, prediction: None, note })
    };
    let Some(time) = arguments.budget else { return as_it_is(asked, String::new()) };
    if let Some(sweep) = arguments.out.as_deref().and_then(|path| SweepFolder::open(path).ok()) {
        let begun = sweep.plan()?;
        if scaling::may_become(&asked, &begun) {
            return as_it_is(begun, "budget   the sweep in the folder goes on as it was planned\n".into());
        }
        SweepFolder::create(sweep.path(), &asked)?;
    }
    let guess = match arguments.rate {
        Some(rate) => Prediction::stated(rate),
        None => Prediction::rough(trainer, &runs::runs(&asked)?)?,
    };
    let scaled = scaling::fit(&asked, time, guess, |runs| predict(arguments, trainer, runs))?;
    let note = scaling::said(&asked, &scaled.plan, time);
    Ok(Chosen { plan: scaled.plan, planned: scaled.runs, prediction: Some(scaled.prediction), note })
}

/// From the stated rate, or measured.
fn predict(arguments: &Arguments, trainer: &mut Trainer, runs: &[PlannedRun]) -> Result<Prediction> {
    arguments.rate.map_or_else(|| Prediction::measured(trainer, runs), |rate| Ok(Prediction::stated(rate)))
}

/// Where every run stands, and `runs.csv` made anew from that.
fn collect(sweep: &SweepFolder, plan: &Plan, runs: Vec<PlannedRun>) -> Result<Vec<(PlannedRun, Standing)>> {
    let standings: Vec<_> = runs
        .into_iter()
        .map(|run| {
            let standing = Standing::of(sweep, &run);
            (run, standing)
        })
        .collect();
    sweep.write(RESULTS_FILE, &results::table(plan.study, &standings))?;
    Ok(standings)
}

fn unplanned(sweep: &SweepFolder, standings: &[(PlannedRun, Standing)]) -> Vec<String> {
    sweep.unplanned(&standings.iter().map(|(run, _)| run.name.as_str()).collect::<Vec<_>>())
}

/// Refuses a plan whose runs would see their text more often than it allows.
fn check_data(trainer: &mut Trainer, plan: &Plan, runs: &[PlannedRun], allowed: bool) -> Result<()> {
    let mut most: BTreeMap<usize, &PlannedRun> = BTreeMap::new();
    for run in runs {
        let context = run.configuration.model.context_length;
        let longest = most.entry(context).or_insert(run);
        if run.tokens() > longest.tokens() {
            *longest = run;
        }
    }
    for run in most.into_values() {
        let corpus = trainer.corpus(&run.configuration)?;
        let epochs = run.tokens() as f64 / corpus.train.len().max(1) as f64;
        if epochs > plan.max_epochs && !allowed {
            return Err(TrainerError::Data {
                path: corpus.name.clone().into(),
                problem: format!(
                    "{} trains on {} tokens, which is {epochs:.1} epochs of the {} there are; the plan's `max_epochs` is {}",
                    run.name,
                    figures::count(run.tokens() as f64),
                    figures::count(corpus.train.len() as f64),
                    plan.max_epochs
                ),
                hint: "name more data, take smaller budgets, raise max_epochs in the plan, or allow it with --allow-repeats"
                    .into(),
            });
        }
    }
    Ok(())
}

/// Makes every run that is not finished. Returns the seconds of their training steps.
fn make(
    sweep: &SweepFolder,
    trainer: &mut Trainer,
    standings: &[(PlannedRun, Standing)],
    out: &mut dyn Write,
) -> Result<f64> {
    let mut seconds = 0.0;
    for (place, (run, standing)) in standings.iter().enumerate() {
        if !matches!(standing, Standing::Waiting | Standing::Begun { .. }) {
            continue;
        }
        let started = Instant::now();
        let failure = match trainer.finish(sweep, run, standing) {
            Ok(steps) => {
                seconds += steps;
                diverged(sweep, run)?
            }
            Err(error) if is_the_runs_own(&error) => Some(error.to_string()),
            Err(error) => return Err(error),
        };
        let said = match failure {
            Some(reason) => {
                sweep.record_failure(&run.name, &reason)?;
                format!("failed: {reason}")
            }
            None => loss(&Standing::of(sweep, run)),
        };
        let line = format!(
            "{:>3}/{} {:<40} {} in {}\n",
            place + 1,
            standings.len(),
            run.name,
            said,
            figures::time(started.elapsed().as_secs_f64())
        );
        print(out, &line)?;
    }
    Ok(seconds)
}

fn loss(standing: &Standing) -> String {
    match standing {
        Standing::Finished(finished) => format!("loss {:.4}", finished.validation_loss),
        _ => "not finished".into(),
    }
}

/// Why a run that came to its end has not learned: its loss is worse than that of guessing every byte alike.
fn diverged(sweep: &SweepFolder, run: &PlannedRun) -> Result<Option<String>> {
    let guessing = (run.configuration.model.vocab_size as f64).ln();
    match Standing::of(sweep, run) {
        Standing::Finished(finished) if finished.validation_loss.is_nan() || finished.validation_loss > guessing => {
            let loss = finished.validation_loss;
            Ok(Some(format!("diverged: the validation loss is {loss:.4}, and guessing has {guessing:.4}")))
        }
        Standing::Finished(_) => Ok(None),
        _ => Err(TrainerError::RunFolder {
            path: sweep.run(&run.name),
            problem: "the run came to its end and its last checkpoint is not there".into(),
            hint: "see whether the disk is full, then start the sweep again: it goes on from what was saved".into(),
        }),
    }
}

/// Errors that say something of this run alone. Others, such as a full disk or a lost device, would meet every run.
fn is_the_runs_own(error: &TrainerError) -> bool {
    matches!(
        error,
        TrainerError::NonFinite { .. }
            | TrainerError::Memory { .. }
            | TrainerError::Engine(_)
            | TrainerError::Weights(_)
            | TrainerError::Model(_)
    )
}

fn overhead(total: f64, steps: f64) -> String {
    let rest = (total - steps).max(0.0);
    format!(
        "time     {} in all, {} in training steps, overhead {} ({:.1} %)\n",
        figures::time(total),
        figures::time(steps),
        figures::time(rest),
        100.0 * rest / total.max(f64::MIN_POSITIVE)
    )
}

/// Where the results are, and the commands that report on them and fit them: profiles over all budgets, each of which is met
/// within 1 %.
fn next(sweep: &SweepFolder, plan: &Plan) -> String {
    let results = sweep.path().join(RESULTS_FILE);
    let (folder, table) = (quoted(&sweep.path().display().to_string()), quoted(&results.display().to_string()));
    let fit = match plan.study {
        Study::Isoflop => {
            let least = 0.98 * plan.budgets.iter().copied().fold(f64::INFINITY, f64::min);
            let most = 1.02 * plan.budgets.iter().copied().fold(0.0, f64::max);
            format!("gradus fit isoflop {table} --group arch,ctx --from {least:.2e} --to {most:.2e}")
        }
        Study::Overtraining => format!("gradus fit overtraining {table} --group arch"),
    };
    let results = results.display();
    format!("results  {results}\ngo on with: gradus report {folder} --out report.html\n       or: {fit}\n")
}

fn refuse_damaged(sweep: &SweepFolder, standings: &[(PlannedRun, Standing)]) -> Result<()> {
    let damaged: Vec<&str> = standings
        .iter()
        .filter(|(_, standing)| matches!(standing, Standing::Damaged(_)))
        .map(|(run, _)| run.name.as_str())
        .collect();
    if damaged.is_empty() {
        return Ok(());
    }
    Err(TrainerError::RunFolder {
        path: sweep.path().to_owned(),
        problem: format!("{} run folders are damaged and were left as they are: {}", damaged.len(), damaged.join(", ")),
        hint:
            "mend what is said above, or move such a folder away from runs/ and start the sweep again to make it anew"
                .into(),
    })
}
