//! `gradus check --long`: random cases for hours, round after round over all operations, until a time is up or Ctrl-C.
//!
//! After each operation what was found is kept in a file, so that the next call goes on with cases that were not drawn yet.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use gradus_engine::check::{Failure, Measured, Worst, check_sized};
use gradus_engine::{DType, Device};
use serde::{Deserialize, Serialize};

use super::operations::Plan;
use super::{print, table};
use crate::duration;
use crate::error::{Result, TrainerError};
use crate::interrupt::Interrupt;
use crate::run_folder::storage::{Disk, replace};
use crate::verbs::check::Arguments;

/// Cases of each operation and type a round.
const CASES: u64 = 16;

/// What is kept between calls.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct State {
    /// The program's version: another one may draw other cases.
    version: String,
    /// The device and its driver.
    device: String,
    seconds: f64,
    rows: Vec<RowState>,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct RowState {
    operation: String,
    r#type: String,
    /// The seed of the next case.
    next_seed: u64,
    cases: u64,
    /// Share, error and bound of the worst.
    forward: [f64; 3],
    backward: [f64; 3],
    finite_difference: [f64; 3],
    failures: Vec<KeptFailure>,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct KeptFailure {
    seed: u64,
    elements: usize,
    problem: String,
}

impl RowState {
    fn new(operation: &str, dtype: DType, seed: u64) -> Self {
        Self {
            operation: operation.into(),
            r#type: dtype.name().into(),
            next_seed: seed,
            cases: 0,
            forward: [0.0; 3],
            backward: [0.0; 3],
            finite_difference: [0.0; 3],
            failures: Vec::new(),
        }
    }

    fn measured(&self) -> Measured {
        let worst = |[share, error, bound]: [f64; 3]| Worst { share, error, bound, ..Worst::default() };
        Measured {
            forward: worst(self.forward),
            backward: worst(self.backward),
            finite_difference: worst(self.finite_difference),
        }
    }

    fn add(&mut self, measured: Measured, failure: Option<Failure>) {
        let Measured { forward, backward, finite_difference } = self.measured().max(measured);
        // JSON has no infinity; failures are kept beside.
        let numbers = |worst: Worst| [worst.share, worst.error, worst.bound].map(|x| x.min(f64::MAX));
        (self.forward, self.backward) = (numbers(forward), numbers(backward));
        self.finite_difference = numbers(finite_difference);
        self.next_seed += CASES;
        self.cases += CASES;
        self.failures.extend(failure.map(|Failure { seed, elements, problem }| KeptFailure {
            seed,
            elements,
            problem,
        }));
    }
}

impl State {
    fn load_or_new(path: &Path, plan: &Plan, seed: u64) -> Result<Self> {
        let (version, device) = (env!("CARGO_PKG_VERSION").to_owned(), name(&plan.device));
        let mut state = match fs::read(path) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                Self { version: version.clone(), device: device.clone(), seconds: 0.0, rows: Vec::new() }
            }
            Err(error) => return Err(TrainerError::io("read", path)(error)),
            Ok(bytes) => serde_json::from_slice(&bytes)
                .map_err(|error| refused(path, format!("it is not the state of a long check: {error}")))?,
        };
        for (what, found, expected) in [("version", &state.version, &version), ("device", &state.device, &device)] {
            if found != expected {
                return Err(refused(path, format!("its {what} is `{found}`, this is `{expected}`")));
            }
        }
        for (row, dtype) in plan.lines() {
            if state.row(row.name, dtype).is_none() {
                state.rows.push(RowState::new(row.name, dtype, seed));
            }
        }
        Ok(state)
    }

    fn row(&mut self, operation: &str, dtype: DType) -> Option<&mut RowState> {
        self.rows.iter_mut().find(|row| row.operation == operation && row.r#type == dtype.name())
    }

    fn save(&self, path: &Path) -> Result<()> {
        if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
            fs::create_dir_all(folder).map_err(TrainerError::io("make", folder))?;
        }
        let text = serde_json::to_vec_pretty(self).map_err(|error| refused(path, error.to_string()))?;
        replace(&Disk, path, &text).map_err(TrainerError::io("write", path))
    }

    fn failed(&self) -> Vec<&str> {
        let mut names: Vec<&str> =
            self.rows.iter().filter(|row| !row.failures.is_empty()).map(|row| row.operation.as_str()).collect();
        names.dedup();
        names
    }

    /// The row that came nearest to its bound, for the line of a round.
    fn summary(&self) -> String {
        let cases: u64 = self.rows.iter().map(|row| row.cases).sum();
        let failures: usize = self.rows.iter().map(|row| row.failures.len()).sum();
        let worst = self.rows.iter().max_by(|a, b| a.measured().worst().total_cmp(&b.measured().worst()));
        let worst = worst.map_or(String::new(), |row| {
            format!(", worst share {:.3} ({} in {})", row.measured().worst(), row.operation, row.r#type)
        });
        let time = duration::format(Duration::from_secs(self.seconds as u64));
        format!("{cases} cases in {time}, {failures} failures{worst}")
    }
}

fn refused(path: &Path, problem: String) -> TrainerError {
    let hint = format!("give another file with --state, or remove {}", path.display());
    TrainerError::Usage { message: format!("--state {}: {problem}", path.display()), hint: Some(hint) }
}

fn name(device: &Device) -> String {
    match device {
        Device::Cpu(_) => "CPU".into(),
        Device::Gpu(gpu) => format!("{}, {}", gpu.report().name, gpu.report().driver),
    }
}

/// Where the state is kept if nobody says.
fn default_state(device: &Device) -> PathBuf {
    let name: String = match device {
        Device::Cpu(_) => "cpu".into(),
        Device::Gpu(gpu) => {
            gpu.report().name.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).collect()
        }
    };
    Path::new("runs/check").join(format!("{}.json", name.to_lowercase()))
}

/// Runs rounds until the time is up or somebody interrupts, then prints the whole table.
///
/// # Errors
/// [`TrainerError::ChecksFailed`] if a case failed, in this call or before; [`TrainerError::Interrupted`] after Ctrl-C; a
/// state that cannot be read or is another device's or version's.
pub fn run(arguments: &Arguments, interrupt: &Interrupt, out: &mut dyn Write) -> Result<()> {
    let limit = arguments.max_time.as_deref().map(duration::parse).transpose();
    let limit = limit.map_err(|message| TrainerError::Usage { message, hint: None })?;
    let plan = Plan::new(arguments)?;
    let path = arguments.state.clone().unwrap_or_else(|| default_state(&plan.device));
    let mut state = State::load_or_new(&path, &plan, arguments.seed)?;
    print(out, &plan.opening());
    print(out, &format!("state    {}: {}", path.display(), state.summary()));
    let (start, before) = (Instant::now(), state.seconds);
    let over = || limit.is_some_and(|limit| start.elapsed() >= limit) || interrupt.requested();
    while !over() {
        for (row, dtype) in plan.lines() {
            if over() {
                break;
            }
            let Some(kept) = state.row(row.name, dtype) else { continue };
            let verdict = check_sized(row, &plan.device, dtype, kept.next_seed, CASES as usize, None);
            if let Some(failure) = &verdict.failure {
                print(out, &format!("{} in {dtype} FAILED\n{}", row.name, plan.tell(arguments, row.name, failure)));
            }
            kept.add(verdict.measured, verdict.failure);
            state.seconds = before + start.elapsed().as_secs_f64();
            state.save(&path)?;
        }
        print(out, &state.summary());
    }
    print(out, &table::head());
    for (row, dtype) in plan.lines() {
        let Some(kept) = state.row(row.name, dtype) else { continue };
        let failed = !kept.failures.is_empty();
        print(out, &table::lines(row, dtype, kept.cases, &kept.measured(), failed));
        for KeptFailure { seed, elements, problem } in &kept.failures {
            let failure = Failure { seed: *seed, elements: *elements, problem: problem.clone() };
            print(out, &plan.tell(arguments, row.name, &failure));
        }
    }
    print(out, &format!("{}; go on with the same command", state.summary()));
    let failed = state.failed();
    if !failed.is_empty() {
        return Err(TrainerError::ChecksFailed(format!("{} failed on {}", failed.join(", "), plan.device.name())));
    }
    if interrupt.requested() { Err(TrainerError::Interrupted) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_check_goes_on_where_it_stopped() {
        let folder = tempfile::tempdir().unwrap();
        let state = folder.path().join("deep/state.json");
        let arguments = Arguments {
            max_time: Some("1s".into()),
            state: Some(state.clone()),
            seed: 100,
            ..Arguments::of_operation("scale", 1)
        };
        let run_once = || {
            let mut out = Vec::new();
            run(&arguments, &Interrupt::default(), &mut out).unwrap();
            let kept: State = serde_json::from_slice(&fs::read(&state).unwrap()).unwrap();
            (String::from_utf8(out).unwrap(), kept)
        };
        let (text, first) = run_once();
        assert!(text.contains("state.json: 0 cases") && text.contains("go on with the same command"), "{text}");
        assert_eq!(first.rows.len(), 2);
        assert!(first.rows.iter().all(|row| row.cases > 0 && row.next_seed == 100 + row.cases));
        let (_, second) = run_once();
        assert!(second.rows[0].next_seed > first.rows[0].next_seed && second.seconds > first.seconds);
        // Ctrl-C: what is there is printed and kept.
        let interrupt = Interrupt::default();
        interrupt.request();
        let error = run(&arguments, &interrupt, &mut Vec::new()).unwrap_err();
        assert_eq!(error.exit_code(), 130);
        // A failure of an earlier call is told again.
        let mut spoiled = second;
        spoiled.rows[0].failures.push(KeptFailure { seed: 117, elements: 8, problem: "planted".into() });
        spoiled.save(&state).unwrap();
        let mut out = Vec::new();
        let error = run(&arguments, &Interrupt::default(), &mut out).unwrap_err();
        assert_eq!(error.exit_code(), 1);
        let text = String::from_utf8(out).unwrap();
        assert!(
            text.contains(
                "planted\n  repeat it with: gradus check --device cpu --operation scale --cases 1 --seed 117"
            )
        );
        // Another device's state, and what is none.
        fs::write(&state, fs::read_to_string(&state).unwrap().replace("\"CPU\"", "\"abacus\"")).unwrap();
        let error = run(&arguments, &Interrupt::default(), &mut Vec::new()).unwrap_err();
        assert!(error.to_string().contains("its device is `abacus`, this is `CPU`"), "{error}");
        fs::write(&state, "{}").unwrap();
        let error = run(&arguments, &Interrupt::default(), &mut Vec::new()).unwrap_err();
        assert!(error.to_string().contains("not the state of a long check: missing field"), "{error}");
        assert!(error.hint().unwrap().contains("--state"));
    }
}
