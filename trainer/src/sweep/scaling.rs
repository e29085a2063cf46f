//! `--budget`: a plan made smaller until the predicted time of its runs fits.

use std::time::Duration;

use super::plan::{Plan, Study, has_twice};
use super::prediction::Prediction;
use super::runs::{PlannedRun, runs};
use crate::duration;
use crate::error::{Result, TrainerError};
use crate::figures;

/// Of the time, what training steps may take; the rest is for compiling kernels, evaluations and saving.
const SHARE_OF_STEPS: f64 = 0.9;
/// FLOPs are made smaller in steps of a thirtieth of a decade.
const TRIES_A_DECADE: i32 = 30;
const DECADES: i32 = 8;
/// How often the time is measured on the plan that the measurement before led to.
const ROUNDS: usize = 2;

/// A plan that fits, its runs, and what predicts their time.
#[derive(Debug)]
pub struct Scaled {
    /// The plan.
    pub plan: Plan,
    /// Its runs.
    pub runs: Vec<PlannedRun>,
    /// What predicts their time.
    pub prediction: Prediction,
}

/// Makes a plan fit a time; one that does stays as it is. All FLOPs get smaller by one factor, so that their ratios stay; where
/// the smallest models are reached before that is enough, the first seed alone is kept, then the largest budgets (ratios, in a
/// study of over-training) are left out, then sizes. `guess` leads to the first plan that is measured.
///
/// # Errors
/// If the plan itself is impossible, if one run of each architecture and context takes longer, or if measuring fails.
pub fn fit(
    plan: &Plan,
    time: Duration,
    guess: Prediction,
    mut measure: impl FnMut(&[PlannedRun]) -> Result<Prediction>,
) -> Result<Scaled> {
    runs(plan)?;
    let mut prediction = guess;
    for _ in 0..ROUNDS {
        let (_, runs) = smaller(plan, time, &prediction)?;
        prediction = measure(&runs)?;
    }
    let (plan, runs) = smaller(plan, time, &prediction)?;
    Ok(Scaled { plan, runs, prediction })
}

/// The largest plan that fits.
fn smaller(plan: &Plan, time: Duration, prediction: &Prediction) -> Result<(Plan, Vec<PlannedRun>)> {
    let room = SHARE_OF_STEPS * time.as_secs_f64();
    let mut least = f64::INFINITY;
    for reduced in reductions(plan) {
        let at = |step: i32| {
            let factor = 10f64.powf(-f64::from(step) / f64::from(TRIES_A_DECADE));
            let scaled = with_flops(&reduced, factor)?;
            let runs = runs(&scaled).ok()?;
            Some((prediction.total(&runs), scaled, runs))
        };
        // Steps from 0 are too slow up to some step, then fit, and from some step on have no model that is small enough:
        // the first that is not too slow is found by halving. Where it has no models, what is left out makes room.
        let (mut slow, mut rest) = (-1, TRIES_A_DECADE * DECADES);
        let mut found = None;
        while slow + 1 < rest {
            let step = slow + (rest - slow) / 2;
            match at(step) {
                Some((seconds, ..)) if seconds > room => {
                    least = least.min(seconds);
                    slow = step;
                }
                other => {
                    found = other;
                    rest = step;
                }
            }
        }
        if let Some((_, plan, runs)) = found {
            return Ok((plan, runs));
        }
    }
    Err(TrainerError::Usage {
        message: format!(
            "--budget: of {} training steps get {}, and the least that the plan can be made, one run of each architecture \
             and context, takes about {} of them",
            duration::format(time),
            figures::time(room),
            figures::time(least)
        ),
        hint: Some(
            "give more time, or a plan with fewer architectures or contexts, or a smaller batch_tokens or width_step"
                .into(),
        ),
    })
}

/// The plan, and it with less and less in it.
fn reductions(plan: &Plan) -> Vec<Plan> {
    let mut all = vec![plan.clone()];
    let mut now = plan.clone();
    let mut add = |plan: &Plan| all.push(plan.clone());
    if now.seeds.len() > 1 {
        now.seeds.truncate(1);
        add(&now);
    }
    now.budgets.sort_by(f64::total_cmp);
    now.ratios.sort_by(f64::total_cmp);
    now.parameters.sort_by(f64::total_cmp);
    while now.budgets.len().max(now.ratios.len()) > 1 {
        now.budgets.pop();
        now.ratios.pop();
        add(&now);
    }
    match plan.study {
        Study::Isoflop | Study::LearningRate => {
            while now.sizes > 1 {
                now.sizes -= 1;
                add(&now);
            }
        }
        Study::Overtraining => {
            while now.parameters.len() > 1 {
                now.parameters.pop();
                add(&now);
            }
        }
    }
    all
}

/// The plan with FLOPs smaller by a factor, to three digits; none if two budgets or sizes would be one. At a ratio of tokens to
/// parameters FLOPs are as the square of the parameters.
fn with_flops(plan: &Plan, factor: f64) -> Option<Plan> {
    if factor == 1.0 {
        return Some(plan.clone());
    }
    let mut scaled = plan.clone();
    for (list, factor) in [(&mut scaled.budgets, factor), (&mut scaled.parameters, factor.sqrt())] {
        for value in list.iter_mut() {
            *value = format!("{:.2e}", *value * factor).parse().ok()?;
        }
        if has_twice(list) {
            return None;
        }
    }
    Some(scaled)
}

/// Whether a plan may have become `other` by being made to fit: less of everything that makes it long, all else the same.
pub fn may_become(plan: &Plan, other: &Plan) -> bool {
    let (budgets, parameters, ratios) = (plan.budgets.clone(), plan.parameters.clone(), plan.ratios.clone());
    let seeds = plan.seeds.clone();
    let no_more =
        |less: &[f64], more: &[f64]| less.len() <= more.len() && less.iter().zip(more).all(|(less, more)| less <= more);
    no_more(&other.budgets, &plan.budgets)
        && no_more(&other.parameters, &plan.parameters)
        && other.ratios.iter().all(|ratio| plan.ratios.contains(ratio))
        && other.seeds.iter().all(|seed| plan.seeds.contains(seed))
        && other.sizes <= plan.sizes
        && *plan == Plan { budgets, parameters, ratios, seeds, sizes: plan.sizes, ..other.clone() }
}

/// What was changed, a line each.
pub fn said(before: &Plan, after: &Plan, time: Duration) -> String {
    let list = |values: &[f64]| values.iter().map(|value| format!("{value:e}")).collect::<Vec<_>>().join(", ");
    let mut lines = Vec::new();
    for (name, old, new) in [
        ("budgets", &before.budgets, &after.budgets),
        ("parameters", &before.parameters, &after.parameters),
        ("ratios", &before.ratios, &after.ratios),
    ] {
        if old != new {
            lines.push(format!("{name} {} in place of {}", list(new), list(old)));
        }
    }
    if before.seeds != after.seeds {
        lines.push(format!("seeds {:?} in place of {:?}", after.seeds, before.seeds));
    }
    if before.sizes != after.sizes {
        lines.push(format!("sizes {} in place of {}", after.sizes, before.sizes));
    }
    let time = duration::format(time);
    if lines.is_empty() {
        return format!("budget   {time}: the plan fits as it is\n");
    }
    format!("budget   {time}: {}\n", lines.join("; "))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(more: &str) -> Plan {
        Plan::parse("p.toml", &format!("architectures = ['xlstm', 'transformer']\ncontexts = [32]\n{more}")).unwrap()
    }

    fn at(rate: f64, plan: &Plan, seconds: f64) -> Result<Scaled> {
        let stated = Prediction::stated(rate);
        fit(plan, Duration::from_secs_f64(seconds), stated.clone(), |_| Ok(stated.clone()))
    }

    const ISOFLOP: &str = "study = 'isoflop'\nbudgets = [1e11, 3e11]\nseeds = [0, 1]\nsizes = 3\nwidth_step = 16\n";

    #[test]
    fn flops_shrink_to_the_time_and_keep_their_ratios() {
        let plan = plan(ISOFLOP);
        let whole: f64 = runs(&plan).unwrap().iter().map(PlannedRun::flops).sum();
        let kept = at(whole, &plan, 1.2).unwrap();
        assert_eq!(kept.plan, plan);
        assert!(said(&plan, &kept.plan, Duration::from_secs(1)).contains("fits as it is"));
        let half = at(whole, &plan, 0.5).unwrap();
        let seconds = half.prediction.total(&half.runs);
        assert!(seconds <= 0.45 && seconds > 0.9 * 0.45, "{seconds}");
        assert!((half.plan.budgets[1] / half.plan.budgets[0] / 3.0 - 1.0).abs() < 0.01, "{:?}", half.plan.budgets);
        assert_eq!((half.plan.seeds.len(), half.plan.sizes, half.runs.len()), (2, 3, 24));
        assert!(may_become(&plan, &half.plan) && !may_become(&Plan { aspect: 9.0, ..plan.clone() }, &half.plan));
        let other = |change: fn(&mut Plan)| {
            let mut other = plan.clone();
            change(&mut other);
            may_become(&other, &half.plan)
        };
        assert!(!other(|plan| plan.budgets = vec![1e10, 3e11]) && !other(|plan| plan.budgets.truncate(1)));
        assert!(!other(|plan| plan.seeds = vec![0, 7]) && !other(|plan| plan.sizes = 2));
        assert!(said(&plan, &half.plan, Duration::from_secs(1)).contains("in place of 1e11, 3e11"));
    }

    #[test]
    fn what_cannot_shrink_further_has_fewer_runs_and_at_last_is_refused() {
        let plan = plan(ISOFLOP);
        let whole: f64 = runs(&plan).unwrap().iter().map(PlannedRun::flops).sum();
        let mut last = usize::MAX;
        for part in 2..12 {
            let seconds = 10f64.powf(-f64::from(part) / 2.0);
            match at(whole, &plan, seconds) {
                Ok(scaled) => {
                    assert!(scaled.prediction.total(&scaled.runs) <= 0.9 * seconds);
                    assert!(scaled.runs.len() <= last);
                    last = scaled.runs.len();
                }
                Err(error) => {
                    let text = error.text();
                    assert!(text.contains("one run of each architecture and context") && text.contains("more time"));
                    assert!(last < 12, "{last} runs fit, and then none: {text}");
                    return;
                }
            }
        }
        panic!("a millionth of the time was enough");
    }

    #[test]
    fn over_training_keeps_its_ratios_with_smaller_models() {
        let plan = plan(
            "study = 'overtraining'\nparameters = [1e5, 4e5]\nratios = [20, 60]\nbatch_tokens = 128\nwidth_step = 16\n",
        );
        let whole: f64 = runs(&plan).unwrap().iter().map(PlannedRun::flops).sum();
        let third = at(whole, &plan, 0.3).unwrap();
        assert_eq!(third.plan.ratios, plan.ratios);
        assert!(third.plan.parameters[1] < 4e5 && third.prediction.total(&third.runs) <= 0.27);
        assert_eq!(third.runs.len(), 8);
    }
}
