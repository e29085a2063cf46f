//! The verdict on a case, and on a row of the table.

use rayon::prelude::*;

use super::compare::{Bounds, HALF_EPSILON, Worst, epsilon};
use super::evaluate::{Magnitudes, Outcome};
use super::plant::{Direction, Mistake, plant};
use super::{Case, Draw, Row};
use crate::definition::Defined;
use crate::{DType, Device, Error, Result};

/// Finite differences of the definition must agree with f64 gradients to this.
pub const FINITE_DIFFERENCE_BOUND: f64 = 1e-6;
/// Elements of each input that finite differences are taken at.
const SAMPLES: usize = 12;
/// Every so many cases, the operation is also checked in the middle of a graph.
const GRAPHS: u64 = 4;
/// Cases whose yardsticks are made side by side.
const SIDE_BY_SIDE: usize = 64;

/// What was measured on one case; a share over 1 is a failure.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Measured {
    /// Outputs against the definition.
    pub forward: Worst,
    /// Gradients against the f64 backward.
    pub backward: Worst,
    /// The f64 backward against finite differences, relative to what the gradient is made of.
    pub finite_difference: Worst,
}

impl Measured {
    /// The worst share of the three.
    pub fn worst(&self) -> f64 {
        self.forward.share.max(self.backward.share).max(self.finite_difference.share)
    }

    /// The worse of both in each.
    pub fn max(self, other: Self) -> Self {
        Self {
            forward: self.forward.max(other.forward),
            backward: self.backward.max(other.backward),
            finite_difference: self.finite_difference.max(other.finite_difference),
        }
    }
}

/// The yardstick of a case: what outputs and gradients should be, and how far off they may be.
pub(crate) struct Yardstick {
    pub upstream: Vec<Vec<f64>>,
    defined: Vec<Defined>,
    pub exact: Outcome,
    magnitudes: Magnitudes,
    slack: Vec<f64>,
    terms: Vec<usize>,
    half_rounding: f64,
    half_slack: Vec<f64>,
}

impl Yardstick {
    pub(crate) fn new(case: &Case, seed: u64) -> Result<Self> {
        let upstream = case.upstream(seed)?;
        let exact = case.exact(&upstream)?;
        let magnitudes = case.magnitudes(&upstream, &exact)?;
        Ok(Self {
            upstream,
            defined: case.define(),
            exact,
            magnitudes,
            slack: case.slack.clone(),
            terms: case.terms.clone(),
            half_rounding: case.half_rounding,
            half_slack: case.half_slack.clone(),
        })
    }

    /// How many terms a gradient of `elements` has: as many as the case says, as the sums of the forward, or, where it sums
    /// over outputs, as there are outputs for each of its elements.
    fn terms(&self, place: usize, elements: usize) -> usize {
        let outputs: usize = self.defined.iter().map(|output| output.magnitude.len()).sum();
        let forward = self.defined.iter().map(|output| output.terms).max().unwrap_or(1);
        forward.max(outputs / elements.max(1)).max(self.terms.get(place).copied().unwrap_or(1))
    }

    /// What f16 intermediates may do to elements of these l2 magnitudes, times `slack`; only in mixed precision.
    fn rounded<'a>(&self, dtype: DType, slack: f64, l2: &'a [f64]) -> Option<(f64, &'a [f64])> {
        (dtype == DType::F16 && self.half_rounding > 0.0).then_some((slack * self.half_rounding, l2))
    }

    pub(crate) fn forward(&self, outcome: &Outcome, dtype: DType) -> Worst {
        if outcome.outputs.len() != self.defined.len() {
            return Worst::BEYOND;
        }
        let mut result = Worst::default();
        for (place, (got, defined)) in outcome.outputs.iter().zip(&self.defined).enumerate() {
            let bounds = Bounds {
                magnitude: &defined.magnitude,
                terms: defined.terms,
                epsilon: epsilon(dtype),
                slack: 1.0,
                half: outcome.types[place] == DType::F16,
                half_rounding: self.rounded(dtype, 1.0, &self.magnitudes.outputs[place]),
            };
            result = result.max(bounds.measure(got, &defined.value.data).of(place));
        }
        result
    }

    pub(crate) fn backward(&self, outcome: &Outcome, dtype: DType) -> Worst {
        let mut result = Worst::default();
        let exact = self.exact.gradients.iter().zip(&self.magnitudes.gradients).zip(&self.slack);
        for (place, (got, ((exact, magnitude), &slack))) in outcome.gradients.iter().zip(exact).enumerate() {
            result = result.max(match (got, exact, magnitude) {
                (Some(got), Some(exact), Some(magnitude)) => {
                    let bounds = Bounds {
                        magnitude,
                        terms: self.terms(place, exact.len()),
                        epsilon: epsilon(dtype),
                        slack,
                        half: outcome.input_types[place] == DType::F16,
                        half_rounding: self.rounded(
                            dtype,
                            self.half_slack.get(place).copied().unwrap_or(1.0),
                            magnitude,
                        ),
                    };
                    bounds.measure(got, exact).of(place)
                }
                (None, None, _) => Worst::default(),
                _ => Worst::BEYOND,
            });
        }
        result
    }

    fn measure(&self, outcome: &Outcome, dtype: DType) -> Measured {
        let (forward, backward) = (self.forward(outcome, dtype), self.backward(outcome, dtype));
        Measured { forward, backward, finite_difference: Worst::default() }
    }

    /// A mistake that would explain the outcome: planted in the exact one, it gives what was got.
    fn diagnose(&self, case: &Case, outcome: &Outcome, dtype: DType) -> Option<(Direction, Mistake)> {
        let exact = Outcome {
            outputs: self.defined.iter().map(|defined| defined.value.data.clone()).collect(),
            ..self.exact.clone()
        };
        for direction in Direction::BOTH {
            let fits = |planted: &Outcome| match direction {
                Direction::Forward => self.like(&planted.outputs, &outcome.outputs, dtype),
                Direction::Backward => {
                    let known = |outcome: &Outcome| outcome.gradients.iter().flatten().cloned().collect::<Vec<_>>();
                    self.like(&known(planted), &known(outcome), dtype)
                }
            };
            if fits(&exact) {
                continue;
            }
            for mistake in Mistake::ALL.into_iter().filter(|mistake| mistake.concerns(direction)) {
                let on = (&Device::cpu(), DType::F64);
                if let Ok(Some(planted)) = plant(mistake, direction, case, &exact, on, &self.upstream)
                    && fits(&planted)
                {
                    return Some((direction, mistake));
                }
            }
        }
        None
    }

    /// Whether two results are alike to a thousand rounding units of their largest elements; in mixed precision to four of
    /// f16, since planted mistakes of 1 % must differ.
    fn like(&self, left: &[Vec<f64>], right: &[Vec<f64>], dtype: DType) -> bool {
        left.len() == right.len()
            && left.iter().zip(right).all(|(left, right)| {
                let most = left.iter().fold(0.0f64, |most, x| most.max(x.abs()));
                let unit = if dtype == DType::F16 { 4.0 * HALF_EPSILON } else { 1e3 * epsilon(dtype) };
                let near = |(a, b): (&f64, &f64)| (a - b).abs() <= unit * most;
                left.len() == right.len() && left.iter().zip(right).all(near)
            })
    }
}

/// Why a device cannot check the rows of [`super::HALF`]; `None` if it can.
pub fn half_missing(device: &Device) -> Option<&'static str> {
    match device {
        Device::Cpu(_) => Some("on the CPU f16 is storage only"),
        Device::Gpu(gpu) => (!gpu.report().shader_f16).then_some("the adapter has no SHADER_F16"),
    }
}

/// Checks one case in one type on one device, f16 standing for mixed precision: outputs against the definition, gradients against the f64 backward and that
/// against finite differences; for some seeds also the operation inside a graph.
///
/// # Errors
/// What the operation meets; in a graph other gradients than bare.
pub fn check_case(case: &Case, device: &Device, dtype: DType, seed: u64) -> Result<Measured> {
    let yardstick = Yardstick::new(case, seed)?;
    judge(case, &yardstick, device, dtype, seed).map(|(measured, _)| measured)
}

fn judge(case: &Case, yardstick: &Yardstick, device: &Device, dtype: DType, seed: u64) -> Result<(Measured, Outcome)> {
    let upstream = &yardstick.upstream;
    let outcome = case.evaluate(device, dtype, upstream)?;
    let mut measured = yardstick.measure(&outcome, dtype);
    if case.forward_only {
        return Ok((measured, outcome));
    }
    if dtype == DType::F64 {
        let exact = (&yardstick.exact, yardstick.magnitudes.gradients.as_slice());
        measured.finite_difference = case.finite_differences(upstream, exact, SAMPLES, seed);
    }
    // A result that is wrong already need not be looked for in a graph.
    if seed.is_multiple_of(GRAPHS) && measured.worst() <= 1.0 {
        case.expect_same_in_a_graph(device, dtype, upstream, &outcome)?;
        case.expect_sums_for_one_tensor_twice(device, dtype, upstream)?;
    }
    Ok((measured, outcome))
}

/// The verdict on a row: its worst figures and the first case that failed.
#[derive(Debug, Clone)]
pub struct Verdict {
    /// The operation.
    pub name: &'static str,
    /// The type checked; f16 for a row of mixed precision.
    pub dtype: DType,
    /// Cases run.
    pub cases: usize,
    /// The worst figures.
    pub measured: Measured,
    /// The first case over its bound, or that met an error.
    pub failure: Option<Failure>,
}

/// A case that failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// The seed that draws it.
    pub seed: u64,
    /// The size it is drawn with, see [`Draw::elements`].
    pub elements: usize,
    /// What happened.
    pub problem: String,
}

impl std::fmt::Display for Failure {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "case {} of {} elements: {}", self.seed, self.elements, self.problem)
    }
}

/// What one case came to.
type Judged = std::result::Result<Measured, String>;

/// The verdict of one case in words if it failed.
fn word(case: &Case, yardstick: &Yardstick, judged: Result<(Measured, Outcome)>, dtype: DType) -> Judged {
    match judged {
        Err(error) => Err(format!("{}: {error}", case.describe())),
        Ok((measured, _)) if measured.worst() <= 1.0 => Ok(measured),
        Ok((measured, outcome)) => {
            let Measured { forward, backward, finite_difference } = measured;
            let mut wrong = Vec::new();
            let results = [
                (forward, "output"),
                (backward, "the gradient of input"),
                (finite_difference, "against finite differences of the definition, the gradient of input"),
            ];
            for (Worst { share, error, bound, place, at }, what) in results {
                if share > 1.0 {
                    wrong.push(format!(
                        "{what} {place} is off by {error:.3e} at {at}, {share:.3e} times its bound {bound:.1e}"
                    ));
                }
            }
            let guess = match yardstick.diagnose(case, &outcome, dtype) {
                Some((direction, mistake)) => format!("; in the {} {}", direction.name(), mistake.description()),
                None => String::new(),
            };
            Err(format!("{}: {}{guess}", case.describe(), wrong.join("; ")))
        }
    }
}

/// Runs the case of one seed.
fn run_case(row: &Row, device: &Device, dtype: DType, seed: u64, elements: usize) -> Judged {
    let case = (row.draw)(&mut Draw::new(seed, elements));
    let yardstick = Yardstick::new(&case, seed).map_err(|error| format!("{}: {error}", case.describe()))?;
    run_prepared(&case, &yardstick, device, dtype, seed)
}

fn run_prepared(case: &Case, yardstick: &Yardstick, device: &Device, dtype: DType, seed: u64) -> Judged {
    let judged = judge(case, yardstick, device, dtype, seed).and_then(|judged| {
        if let Device::Gpu(gpu) = device {
            gpu.verify_guards()?;
        }
        Ok(judged)
    });
    word(case, yardstick, judged, dtype)
}

/// Checks a row with `cases` cases from `seed` on. A case that fails is drawn again at smaller sizes, and the smallest that
/// still fails is reported.
pub fn check_row(row: &Row, device: &Device, dtype: DType, seed: u64, cases: usize) -> Verdict {
    check_sized(row, device, dtype, seed, cases, None)
}

/// [`check_row`] with cases of one size, to repeat one that failed.
pub fn check_sized(
    row: &Row,
    device: &Device,
    dtype: DType,
    seed: u64,
    cases: usize,
    elements: Option<usize>,
) -> Verdict {
    let mut verdict = Verdict { name: row.name, dtype, cases, measured: Measured::default(), failure: None };
    let size = |seed: u64| elements.unwrap_or(elements_of(seed));
    let seeds: Vec<u64> = (seed..seed.saturating_add(cases as u64)).collect();
    for seeds in seeds.chunks(SIDE_BY_SIDE) {
        // The yardsticks take most of the time and use the CPU alone; a GPU then runs case after case.
        let judged: Vec<Judged> = match device {
            Device::Cpu(_) => seeds.par_iter().map(|&seed| run_case(row, device, dtype, seed, size(seed))).collect(),
            Device::Gpu(_) => {
                let yardsticks: Vec<Result<Yardstick>> = seeds
                    .par_iter()
                    .map(|&seed| Yardstick::new(&(row.draw)(&mut Draw::new(seed, size(seed))), seed))
                    .collect();
                let run = |(&seed, yardstick): (&u64, Result<Yardstick>)| {
                    let case = (row.draw)(&mut Draw::new(seed, size(seed)));
                    let yardstick = yardstick.map_err(|error| format!("{}: {error}", case.describe()))?;
                    run_prepared(&case, &yardstick, device, dtype, seed)
                };
                seeds.iter().zip(yardsticks).map(run).collect()
            }
        };
        for (&seed, judged) in seeds.iter().zip(judged) {
            match judged {
                Ok(measured) => verdict.measured = verdict.measured.max(measured),
                Err(problem) if verdict.failure.is_none() => {
                    let first = Failure { seed, elements: size(seed), problem };
                    verdict.failure = Some(smallest(row, device, dtype, first));
                }
                Err(_) => {}
            }
        }
    }
    verdict
}

/// The failure at the smallest size at which its seed still fails.
fn smallest(row: &Row, device: &Device, dtype: DType, mut failure: Failure) -> Failure {
    let mut elements = failure.elements / 2;
    while elements > 0 {
        match run_case(row, device, dtype, failure.seed, elements) {
            Err(problem) => failure = Failure { elements, problem, ..failure },
            Ok(_) => break,
        }
        elements /= 2;
    }
    failure
}

/// Every fourth case is a larger one.
fn elements_of(seed: u64) -> usize {
    if seed % 4 == 3 { 16_384 } else { 1024 }
}

/// The planted mistakes that a row's bound does not report, over `cases` cases: there should be none. A mistake that can be
/// made in none of them is not missed, such as exchanging the dimensions of a single number.
///
/// # Errors
/// What the operation meets.
pub fn missed_mistakes(
    row: &Row,
    device: &Device,
    dtype: DType,
    seed: u64,
    cases: usize,
) -> Result<Vec<(Direction, Mistake)>> {
    let mut missed: Vec<(Direction, Mistake)> = Direction::BOTH
        .into_iter()
        .flat_map(|direction| Mistake::ALL.map(|mistake| (direction, mistake)))
        .filter(|(direction, mistake)| mistake.concerns(*direction))
        .collect();
    let mut impossible = missed.clone();
    for seed in seed..seed + cases as u64 {
        let case = (row.draw)(&mut Draw::new(seed, elements_of(seed)));
        let yardstick = Yardstick::new(&case, seed)?;
        let outcome = case.evaluate(device, dtype, &yardstick.upstream)?;
        let mut kept = Vec::new();
        for (direction, mistake) in missed {
            let planted = plant(mistake, direction, &case, &outcome, (device, dtype), &yardstick.upstream)?;
            if planted.is_some() {
                impossible.retain(|other| *other != (direction, mistake));
            }
            let seen = planted.is_some_and(|planted| match direction {
                Direction::Forward => yardstick.forward(&planted, dtype).share > 1.0,
                Direction::Backward => yardstick.backward(&planted, dtype).share > 1.0,
            });
            if !seen {
                kept.push((direction, mistake));
            }
        }
        missed = kept;
    }
    missed.retain(|mistake| !impossible.contains(mistake));
    Ok(missed)
}

/// Everything at once for one operation, ours or a user's: `cases` random cases on the CPU in f64 (with finite differences)
/// and f32 and on `gpu` if there is one (open it by [`super::gpu`], so that every tensor has a guard band), each alone and
/// inside a graph; and that the bounds are tight enough to report every planted mistake.
///
/// # Errors
/// The first thing that is wrong: a result or a gradient over its bound with a guess at the mistake, a write outside a
/// tensor, planted mistakes that would go unnoticed, what the operation meets.
pub fn operation(draw: fn(&mut Draw) -> Case, gpu: Option<&Device>, cases: usize) -> Result<Vec<Verdict>> {
    const PLANTED_CASES: usize = 8;
    let name = draw(&mut Draw::new(0, 64)).operation.name();
    let row = Row { name, draw };
    let cpu = Device::cpu();
    let mut targets = vec![(&cpu, DType::F64), (&cpu, DType::F32)];
    targets.extend(gpu.map(|gpu| (gpu, DType::F32)));
    let mut verdicts = Vec::new();
    for (device, dtype) in targets {
        let verdict = check_row(&row, device, dtype, 0, cases);
        if let Some(failure) = &verdict.failure {
            return Err(Error::Check {
                operation: name,
                message: format!("on the {} in {dtype}, {failure}", kind(device)),
            });
        }
        let missed = missed_mistakes(&row, device, dtype, 0, PLANTED_CASES)?;
        if !missed.is_empty() {
            let message = format!(
                "on the {} in {dtype}, the bound would not report these planted mistakes: {missed:?}; are the cases large \
                 enough, and the slack small enough?",
                kind(device)
            );
            return Err(Error::Check { operation: name, message });
        }
        verdicts.push(verdict);
    }
    Ok(verdicts)
}

fn kind(device: &Device) -> &'static str {
    if device.is_gpu() { "GPU" } else { "CPU" }
}
