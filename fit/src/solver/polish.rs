//! The last digits: full Gauss-Newton and Newton steps judged by the gradient.
//!
//! Near a minimum the objective is flat to rounding long before the parameters are exact: an error of
//! 1e-8 standard errors changes it by 1e-16. The gradient still sees such errors, so steps are accepted
//! as long as they lower it without raising the objective beyond rounding. Errors of the Newton matrix,
//! which is formed here, only slow this down: the gradient they are measured by is computed afresh.

use super::state::State;
use super::symmetric::solve_positive;
use super::trust_region::Subproblem;
use super::vector::{dot, scaled_norm};
use crate::problem::Problem;

/// At most this many steps.
const STEPS: usize = 10;

/// A decrement of this many standard deviations of a residual is no longer worth a step: no parameter moves
/// by more than as many of its standard errors.
const ENOUGH: f64 = 3e-12;

pub(super) fn polish<P: Problem + ?Sized>(state: &mut State<'_, P>) {
    let freedom = state.residuals.len().saturating_sub(state.x.len()).max(1) as f64;
    // ‖D·x‖ is about the size of the model's values; below their rounding a decrement is noise.
    let rounding = f64::EPSILON * scaled_norm(&state.lengths, &state.x);
    let enough = (ENOUGH * state.size / freedom.sqrt()).max(rounding);
    let mut sub = Subproblem::default();
    state.hopeful = true;
    // Gauss-Newton needs no second derivatives and is nearly as good where residuals are small; Newton takes
    // over where it gains less than a digit a step.
    for newton in [false, true] {
        let Some(mut plan) = Plan::of(state, &mut sub, newton) else { return };
        for _ in 0..STEPS {
            if plan.decrement <= enough {
                return;
            }
            let Some(next) = attempt(state, &mut sub, &mut plan, newton) else { break };
            let slow = next.decrement > 0.1 * plan.decrement;
            plan = next;
            if slow && !newton {
                break;
            }
        }
    }
}

/// A step with its decrement √(−g·s): the distance to the minimum in units that do not depend on how
/// the parameters are scaled, so that an error along a weakly determined direction counts in full.
struct Plan {
    step: Vec<f64>,
    decrement: f64,
}

impl Plan {
    fn of<P: Problem + ?Sized>(state: &mut State<'_, P>, sub: &mut Subproblem, newton: bool) -> Option<Self> {
        if !state.held.is_empty() {
            return None;
        }
        let exact = if newton { newton_step(state) } else { None };
        let step = exact.unwrap_or_else(|| gauss_newton_step(state, sub));
        let decrement = (-dot(&step, &state.gradient)).sqrt();
        (decrement > 0.0 && step.iter().all(|s| s.is_finite())).then_some(Self { step, decrement })
    }
}

fn gauss_newton_step<P: Problem + ?Sized>(state: &mut State<'_, P>, sub: &mut Subproblem) -> Vec<f64> {
    state.subproblem(sub);
    let mut step = vec![0.0; state.x.len()];
    let projected = std::mem::take(&mut sub.projected);
    sub.damped_solve(0.0, &projected, &mut step);
    sub.projected = projected;
    step
}

/// The step of Newton's method with the exact Hessian, if that is positive definite.
fn newton_step<P: Problem + ?Sized>(state: &mut State<'_, P>) -> Option<Vec<f64>> {
    let hessian = hessian(state.problem, state.options.loss, &state.x, &state.residuals, &state.jacobian);
    let downhill: Vec<f64> = state.gradient.iter().map(|g| -g).collect();
    solve_positive(&hessian, &downhill)
}

/// Half the Hessian of the objective: Jᵀ·diag(ρ′ + 2zρ″)·J + Σ ρ′·r·∇²r.
pub(super) fn hessian<P: Problem + ?Sized>(
    problem: &P,
    loss: super::Loss,
    x: &[f64],
    residuals: &[f64],
    jacobian: &[f64],
) -> Vec<f64> {
    let (m, n) = (residuals.len(), x.len());
    let weights: Vec<(f64, f64)> = residuals.iter().map(|&r| loss.weights(r)).collect();
    let influences: Vec<f64> = weights.iter().zip(residuals).map(|(w, r)| w.0 * r).collect();
    let mut hessian = vec![0.0; n * n];
    problem.curvature(x, &influences, &mut hessian);
    for j in 0..n {
        let weighted: Vec<f64> = jacobian[j * m..(j + 1) * m].iter().zip(&weights).map(|(a, w)| a * w.1).collect();
        for i in 0..=j {
            let product = dot(&weighted, &jacobian[i * m..(i + 1) * m]);
            hessian[j * n + i] += product;
            if i != j {
                hessian[i * n + j] += product;
            }
        }
    }
    hessian
}

/// Takes the step if the next one is smaller, which it returns; else leaves the state as it was.
fn attempt<P: Problem + ?Sized>(
    state: &mut State<'_, P>,
    sub: &mut Subproblem,
    plan: &mut Plan,
    newton: bool,
) -> Option<Plan> {
    if state.place_trial(&mut plan.step) || state.trial == state.x {
        return None;
    }
    let (before, trial_size) = (state.size, state.size_at_trial());
    // The rounding of the model's values moves the objective by this.
    let rounding = 10.0 * f64::EPSILON * (1.0 + scaled_norm(&state.scale, &state.x) / state.size);
    if trial_size > state.size * (1.0 + 0.5 * rounding) {
        return None;
    }
    let derived = (state.gradient.clone(), state.lengths.clone(), state.gradient_cosine);
    state.exchange();
    state.size = trial_size;
    if state.linearize()
        && let Some(next) = Plan::of(state, sub, newton)
        && next.decrement < plan.decrement
    {
        state.iterations += 1;
        return Some(next);
    }
    state.exchange();
    std::mem::swap(&mut state.jacobian, &mut state.spare_jacobian);
    state.size = before;
    (state.gradient, state.lengths, state.gradient_cosine) = derived;
    // Nothing was held where the plan was made.
    state.held.clear();
    state.free.clear();
    state.free.extend(0..state.x.len());
    None
}
