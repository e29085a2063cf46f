//! `gradus sweep`: the runs of a scaling study, planned, made and collected.
//!
//! [`plan`] is the file that the user writes, [`shapes`] the models that follow from it, [`runs`] the runs with their exact
//! FLOPs, [`folder`] what a sweep keeps on disk, [`standing`] how far each run is, [`workers`] make them here, [`slurm`] on a
//! cluster, [`training`] is one run, [`results`] `runs.csv`, [`rates`] what a study of learning rates found, [`prediction`] says
//! how long it will take, [`scaling`] makes a plan fit a time, [`screen`] what is printed.

pub mod folder;
pub mod plan;
pub mod prediction;
pub mod rates;
pub mod results;
pub mod runs;
pub mod scaling;
pub mod screen;
pub mod shapes;
pub mod slurm;
pub mod standing;
pub mod training;
pub mod workers;

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
use crate::verbs::sweep::{Action, Arguments, Launch};
use folder::{RESULTS_FILE, SweepFolder};
use plan::{Plan, Study};
use prediction::Prediction;
use runs::PlannedRun;
use slurm::Tasks;
use standing::Standing;
use training::Trainer;

/// Runs the verb.
///
/// # Errors
/// Whatever is wrong with the plan, the data, the device or the folder; at the end, if run folders are damaged;
/// [`TrainerError::Interrupted`] after Ctrl-C, when everything is saved.
pub fn run(arguments: &Arguments, started: Instant, out: &mut dyn Write) -> Result<()> {
    match &arguments.action {
        Some(Action::Status { dir }) => return status(&SweepFolder::open(dir)?, out),
        Some(Action::Run { dir, number, device }) => {
            return task(&SweepFolder::open(dir)?, *number, device.unwrap_or_default(), out);
        }
        None => {}
    }
    check_flags(arguments)?;
    let asked = asked_for(arguments)?;
    let interrupt = Interrupt::install()?;
    let mut trainers = open(arguments, &interrupt)?;
    let devices = trainers.len() as u32;
    let first = &mut trainers[0];
    let Chosen { plan, planned, prediction, note } = choose(arguments, asked, (first, devices))?;
    check_data(first, &plan, &planned, arguments.allow_repeats)?;
    if arguments.dry_run {
        let prediction = match prediction {
            Some(prediction) => prediction,
            None => predict(arguments, first, &planned)?,
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
    let _lock = match arguments.launch {
        Launch::Local => sweep.lock()?,
        // Tasks of the sweep may be at work.
        Launch::Slurm => sweep.share()?,
    };
    if arguments.retry_failed {
        let mut failed = planned.iter().filter(|run| sweep.failure(&run.name).is_some());
        failed.try_for_each(|run| sweep.forget_failure(&run.name))?;
    }
    let standings = collect(&sweep, &plan, planned)?;
    if arguments.launch == Launch::Slurm {
        print(out, &format!("folder   {}\n{note}", sweep.path().display()))?;
        let options: Vec<String> =
            arguments.slurm_options.iter().flat_map(|words| words.split_whitespace()).map(String::from).collect();
        slurm::submit(&sweep, &standings, (&options, arguments.device.unwrap_or_default()), out)?;
        return refuse_damaged(&sweep, &standings);
    }
    let devices: Vec<String> =
        trainers.iter().map(|trainer| format!("device   {}\n", trainer.device().name())).collect();
    print(out, &format!("{}folder   {}\n{note}", devices.concat(), sweep.path().display()))?;
    let steps = workers::make(&sweep, &mut trainers, &standings, (&interrupt, out));
    // The table holds whatever was finished, also where the sweep stops here.
    let runs = standings.into_iter().map(|(run, _)| run).collect();
    let standings = collect(&sweep, &plan, runs)?;
    let steps = steps?;
    print(out, &screen::status(&standings, &Tasks::default(), &unplanned(&sweep, &standings)))?;
    print(out, &rates::found(&plan, &standings))?;
    print(out, &overhead(started.elapsed().as_secs_f64() * trainers.len() as f64, steps))?;
    print(out, &next(&sweep, &plan))?;
    refuse_damaged(&sweep, &standings)
}

fn status(sweep: &SweepFolder, out: &mut dyn Write) -> Result<()> {
    let plan = sweep.plan()?;
    let standings = collect(sweep, &plan, runs::runs(&plan)?)?;
    let tasks = Tasks::of(sweep, &standings)?;
    let said = screen::status(&standings, &tasks, &unplanned(sweep, &standings));
    print(out, &(said + &rates::found(&plan, &standings))).map(drop)
}

/// One run, beside other processes that make others.
fn task(sweep: &SweepFolder, number: usize, device: DeviceChoice, out: &mut dyn Write) -> Result<()> {
    let plan = sweep.plan()?;
    let planned = runs::runs(&plan)?;
    let Some(run) = number.checked_sub(1).and_then(|place| planned.get(place)) else {
        return Err(TrainerError::Usage {
            message: format!("there is no run {number} in this sweep"),
            hint: Some(format!("runs are numbered from 1 to {}, as --dry-run lists them", planned.len())),
        });
    };
    let _locks = (sweep.share()?, sweep.lock_part(&run.name)?);
    match Standing::of(sweep, run) {
        standing @ (Standing::Waiting | Standing::Begun { .. }) => {
            let interrupt = Interrupt::install()?;
            let mut trainer = Trainer::new(device.open(gpu::Options::from_environment())?, interrupt);
            print(out, &format!("device   {}\n", trainer.device().name()))?;
            let made = workers::one(sweep, &mut trainer, run, &standing)?;
            print(out, &workers::line(number, planned.len(), run, &made))?;
        }
        Standing::Finished(_) => print(out, &format!("{} is finished\n", run.name)).map(drop)?,
        Standing::Failed(reason) => print(out, &format!("{} failed before: {reason}\n", run.name)).map(drop)?,
        Standing::Damaged(_) => {}
    }
    let standings = collect(sweep, &plan, planned)?;
    refuse_damaged(sweep, &standings[number - 1..number])
}

/// Flags that have no meaning together.
fn check_flags(arguments: &Arguments) -> Result<()> {
    let refuse =
        |message: &str, hint: &str| Err(TrainerError::Usage { message: message.into(), hint: Some(hint.into()) });
    let slurm = arguments.launch == Launch::Slurm;
    if arguments.slurm_options.is_some() && !slurm {
        return refuse("--slurm-options is for a sweep that Slurm makes", "add --launch slurm");
    }
    if arguments.rate.is_some() && !arguments.dry_run && arguments.budget.is_none() {
        return refuse(
            "--rate says how long runs will take, and nothing here asks for that",
            "add --dry-run or --budget",
        );
    }
    if slurm && arguments.budget.is_some() && arguments.rate.is_none() {
        return refuse(
            "--budget measures how fast this machine is, and Slurm makes the runs on another",
            "state the other's speed with --rate, in FLOPs a second",
        );
    }
    Ok(())
}

/// A trainer for each device. A sweep that Slurm makes needs none here, but for its data.
fn open(arguments: &Arguments, interrupt: &Interrupt) -> Result<Vec<Trainer>> {
    let options = gpu::Options::from_environment();
    let choice = arguments.device.unwrap_or_default();
    let devices = match arguments.launch {
        Launch::Slurm if !arguments.dry_run => vec![DeviceChoice::Cpu.open(options)?],
        _ => choice.open_all(options)?,
    };
    Ok(devices.into_iter().map(|device| Trainer::new(device, interrupt.clone())).collect())
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
fn choose(arguments: &Arguments, asked: Plan, (trainer, devices): (&mut Trainer, u32)) -> Result<Chosen> {
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
    let scaled = scaling::fit(&asked, time * devices, guess, |runs| predict(arguments, trainer, runs))?;
    let note = scaling::said(&asked, &scaled.plan, time);
    Ok(Chosen { plan: scaled.plan, planned: scaled.runs, prediction: Some(scaled.prediction), note })
}

/// From the stated rate, or measured.
fn predict(arguments: &Arguments, trainer: &mut Trainer, runs: &[PlannedRun]) -> Result<Prediction> {
    arguments.rate.map_or_else(|| Prediction::measured(trainer, runs), |rate| Ok(Prediction::stated(rate)))
}

/// Where every run stands, and `runs.csv` made anew from that.
fn collect(sweep: &SweepFolder, plan: &Plan, runs: Vec<PlannedRun>) -> Result<Vec<(PlannedRun, Standing)>> {
    // Of several processes the last one to write has looked last.
    let _lock = sweep.lock_results()?;
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
        Study::LearningRate => {
            format!("gradus fit minimum {table} --x lr --y val_loss --group arch,ctx,isoflop,n_params")
        }
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
