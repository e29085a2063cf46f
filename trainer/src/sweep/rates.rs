//! What a study of learning rates has found: for each architecture the multiple of the rule's rate that later plans should have.

use std::collections::BTreeMap;

use gradus_fit::laws::{crossing, minimum};

use super::plan::Plan;
use super::runs::PlannedRun;
use super::standing::Standing;

/// A line a model and budget, and the key that a plan of another study takes: of each architecture the geometric mean of the
/// best factors.
pub fn found(plan: &Plan, standings: &[(PlannedRun, Standing)]) -> String {
    // Loss over factor of each architecture, context, budget and model, in the order of the runs.
    let mut curves: Vec<(&PlannedRun, Vec<(f64, f64)>)> = Vec::new();
    for (run, standing) in standings {
        let (Standing::Finished(finished), Some(factor)) = (standing, run.factor) else { continue };
        let point = (factor, finished.validation_loss);
        let same =
            |other: &PlannedRun| run.budget == other.budget && run.configuration.model == other.configuration.model;
        match curves.iter_mut().find(|(other, _)| same(other)) {
            Some((_, points)) => points.push(point),
            None => curves.push((run, vec![point])),
        }
    }
    let mut text = String::new();
    // Of each architecture the scale that the plan has, and the best factors.
    let mut best: BTreeMap<String, (f64, Vec<f64>)> = BTreeMap::new();
    for (run, points) in curves {
        let model = &run.configuration.model;
        let of = format!(
            "{} t{} c{:e} d{}x{}",
            model.architecture, model.context_length, run.budget, model.embedding_dim, model.num_blocks
        );
        let Some(lowest) = minimum::minimum(&crossing::curve(&points)) else { continue };
        let open = if lowest.inside { "" } else { ", at an end of those tried: what lies beyond is not known" };
        text += &format!("{of:<40} loss {:.4} at {:.2} times the rate{open}\n", lowest.y, lowest.x);
        let scale = plan.learning_rate_scale.of(model.architecture);
        best.entry(model.architecture.to_string()).or_insert((scale, Vec::new())).1.push(lowest.x);
    }
    let scale = |(architecture, (scale, factors)): (&String, &(f64, Vec<f64>))| {
        let mean = (factors.iter().map(|factor| factor.ln()).sum::<f64>() / factors.len() as f64).exp();
        format!("{architecture} = {:.2}", mean * scale)
    };
    let scales: Vec<String> = best.iter().map(scale).collect();
    if !scales.is_empty() {
        text += &format!("for other plans: learning_rate_scale = {{ {} }}\n", scales.join(", "));
    }
    text
}
