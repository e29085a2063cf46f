//! The verdict on a case, and on a row of the table.

use super::compare::{epsilon, worst};
use super::evaluate::Outcome;
use super::plant::{Mistake, plant};
use super::{Case, Draw, Row};
use crate::{DType, Device, Error, Result};

/// Finite differences of the definition must agree with f64 gradients to this.
pub const FINITE_DIFFERENCE_BOUND: f64 = 1e-6;

/// What was measured on one case; every figure but `finite_difference` is a share of the bound, over 1 is a failure.
#[derive(Debug, Clone, Copy, Default)]
pub struct Measured {
    /// Outputs against the definition.
    pub forward: f64,
    /// Gradients against the f64 backward.
    pub backward: f64,
    /// The f64 backward against finite differences, relative to [`FINITE_DIFFERENCE_BOUND`].
    pub finite_difference: f64,
}

impl Measured {
    /// The worst of the three.
    pub fn worst(&self) -> f64 {
        self.forward.max(self.backward).max(self.finite_difference)
    }

    fn max(self, other: Self) -> Self {
        Self {
            forward: self.forward.max(other.forward),
            backward: self.backward.max(other.backward),
            finite_difference: self.finite_difference.max(other.finite_difference),
        }
    }
}

/// The yardstick of a case: what outputs and gradients should be, and how far off they may be.
pub(crate) struct Yardstick {
    defined: Vec<crate::definition::Defined>,
    exact: Outcome,
    magnitudes: Vec<Option<Vec<f64>>>,
    slack: Vec<f64>,
}

impl Yardstick {
    pub(crate) fn new(case: &Case, upstream: &[Vec<f64>]) -> Result<Self> {
        let exact = case.exact(upstream)?;
        let magnitudes = case.gradient_magnitudes(upstream, &exact)?;
        Ok(Self { defined: case.define(), exact, magnitudes, slack: case.slack.clone() })
    }

    /// How many terms a gradient of `elements` has: as many as the sums of the forward, or, where it sums over outputs, as
    /// there are outputs for each of its elements.
    fn terms(&self, elements: usize) -> usize {
        let outputs: usize = self.defined.iter().map(|output| output.magnitude.len()).sum();
        let forward = self.defined.iter().map(|output| output.terms).max().unwrap_or(1);
        forward.max(outputs / elements.max(1))
    }

    pub(crate) fn forward(&self, outcome: &Outcome, dtype: DType) -> f64 {
        if outcome.outputs.len() != self.defined.len() {
            return f64::INFINITY;
        }
        let of = |((got, &of), defined): ((&Vec<f64>, &DType), &crate::definition::Defined)| {
            // The coarser of the type computed in and the output's own.
            let epsilon = epsilon(dtype).max(epsilon(of));
            worst(got, &defined.value.data, &defined.magnitude, defined.terms, epsilon, 1.0)
        };
        outcome.outputs.iter().zip(&outcome.types).zip(&self.defined).map(of).fold(0.0, f64::max)
    }

    pub(crate) fn backward(&self, outcome: &Outcome, dtype: DType) -> f64 {
        let mut result = 0.0f64;
        let exact = self.exact.gradients.iter().zip(&self.magnitudes).zip(&self.slack);
        for (got, ((exact, magnitude), &slack)) in outcome.gradients.iter().zip(exact) {
            result = result.max(match (got, exact, magnitude) {
                (Some(got), Some(exact), Some(magnitude)) => {
                    worst(got, exact, magnitude, self.terms(exact.len()), epsilon(dtype), slack)
                }
                (None, None, _) => 0.0,
                _ => f64::INFINITY,
            });
        }
        result
    }
}

/// Checks one case in one type on one device.
///
/// # Errors
/// What the operation meets.
pub fn check_case(case: &Case, device: &Device, dtype: DType, seed: u64) -> Result<Measured> {
    let upstream = case.upstream(seed)?;
    let yardstick = Yardstick::new(case, &upstream)?;
    let outcome = case.evaluate(device, dtype, &upstream)?;
    let finite_difference = match dtype {
        DType::F64 => case.finite_differences(&upstream, 12, seed)? / FINITE_DIFFERENCE_BOUND,
        _ => 0.0,
    };
    Ok(Measured {
        forward: yardstick.forward(&outcome, dtype),
        backward: yardstick.backward(&outcome, dtype),
        finite_difference,
    })
}

/// The verdict on a row: its worst figures and the first case that failed.
#[derive(Debug, Clone)]
pub struct Verdict {
    /// The operation.
    pub name: &'static str,
    /// The type checked.
    pub dtype: DType,
    /// Cases run.
    pub cases: usize,
    /// The worst figures.
    pub measured: Measured,
    /// The first case over its bound, or that met an error: its seed and what happened.
    pub failure: Option<(u64, String)>,
}

/// Checks a row with `cases` cases from `seed` on.
pub fn check_row(row: &Row, device: &Device, dtype: DType, seed: u64, cases: usize) -> Verdict {
    let mut verdict = Verdict { name: row.name, dtype, cases, measured: Measured::default(), failure: None };
    for seed in seed..seed + cases as u64 {
        let case = (row.draw)(&mut Draw::new(seed, elements(seed)));
        let result = check_case(&case, device, dtype, seed).and_then(|measured| {
            if let Device::Gpu(gpu) = device {
                gpu.verify_guards()?;
            }
            Ok(measured)
        });
        let problem = match result {
            Ok(measured) => {
                verdict.measured = verdict.measured.max(measured);
                (measured.worst() > 1.0).then(|| format!("{} is over its bound: {measured:.3?}", case.describe()))
            }
            Err(error) => Some(format!("{}: {error}", case.describe())),
        };
        if let (Some(problem), None) = (problem, &verdict.failure) {
            verdict.failure = Some((seed, problem));
        }
    }
    verdict
}

/// Every fourth case is a larger one.
fn elements(seed: u64) -> usize {
    if seed % 4 == 3 { 16_384 } else { 1024 }
}

/// The planted mistakes that a row's bound does not report, over `cases` cases: there should be none.
///
/// # Errors
/// What the operation meets.
pub fn missed_mistakes(row: &Row, device: &Device, dtype: DType, seed: u64, cases: usize) -> Result<Vec<Mistake>> {
    let mut missed = Mistake::ALL.to_vec();
    for seed in seed..seed + cases as u64 {
        let case = (row.draw)(&mut Draw::new(seed, elements(seed)));
        let upstream = case.upstream(seed)?;
        let yardstick = Yardstick::new(&case, &upstream)?;
        let outcome = case.evaluate(device, dtype, &upstream)?;
        let mut kept = Vec::new();
        for mistake in missed {
            let planted = plant(mistake, &case, &outcome, device, dtype, &upstream)?;
            let seen = planted.is_some_and(|planted| {
                yardstick.forward(&planted, dtype) > 1.0 || yardstick.backward(&planted, dtype) > 1.0
            });
            if !seen {
                kept.push(mistake);
            }
        }
        missed = kept;
    }
    Ok(missed)
}

/// All checks on one operation, ours or a user's, on the CPU in f64 and f32 and on `gpu` if there is one: the error names
/// the first thing that is wrong.
///
/// # Errors
/// A result or a gradient that is over its bound; what the operation meets.
pub fn operation(draw: fn(&mut Draw) -> Case, gpu: Option<&Device>, cases: usize) -> Result<Vec<Verdict>> {
    let name = draw(&mut Draw::new(0, 64)).operation.name();
    let row = Row { name, draw };
    let cpu = Device::cpu();
    let mut targets = vec![(&cpu, DType::F64), (&cpu, DType::F32)];
    targets.extend(gpu.map(|gpu| (gpu, DType::F32)));
    let verdicts: Vec<Verdict> =
        targets.into_iter().map(|(device, dtype)| check_row(&row, device, dtype, 0, cases)).collect();
    match verdicts.iter().find_map(|verdict| verdict.failure.as_ref()) {
        Some((seed, problem)) => Err(Error::shape(name, format!("case {seed}: {problem}"))),
        None => Ok(verdicts),
    }
}
