//! What the user sees of a sweep: the table of its runs, and where each stands.

use super::prediction::Prediction;
use super::runs::PlannedRun;
use super::slurm::Tasks;
use super::standing::Standing;
use crate::figures;
use crate::training::memory::Plan as MemoryPlan;

/// The planned runs: size, tokens, steps, FLOPs, memory and time of each, and the sums.
pub fn plan_table(runs: &[PlannedRun], prediction: &Prediction) -> String {
    let mut text = format!(
        "{:<40} {:>8} {:>8} {:>7} {:>7} {:>6} {:>8} {:>10} {:>7} {:>9} {:>7}\n",
        "run", "N", "D", "D/N", "steps", "batch", "rate", "FLOPs", "off", "memory", "time"
    );
    for run in runs {
        let configuration = &run.configuration;
        text += &format!(
            "{:<40} {:>8} {:>8} {:>7.1} {:>7} {:>6} {:>8.1e} {:>10.4e} {:>6.2}% {:>9} {:>7}\n",
            run.name,
            figures::count(run.parameters() as f64),
            figures::count(run.tokens() as f64),
            run.tokens() as f64 / run.parameters() as f64,
            run.steps,
            configuration.train.batch,
            configuration.optimizer.learning_rate,
            run.flops(),
            100.0 * (run.flops() / run.budget - 1.0),
            figures::bytes(MemoryPlan::new(configuration).total()),
            figures::time(prediction.seconds(run)),
        );
    }
    let seconds = prediction.total(runs);
    let flops: f64 = runs.iter().map(PlannedRun::flops).sum();
    text + &format!("{} runs, {flops:.3e} FLOPs, training steps take about {}\n", runs.len(), figures::time(seconds))
}

/// Where a sweep is: a line a run that has begun or has a task, and the sums. `unplanned` are folders that are none of its runs.
pub fn status(runs: &[(PlannedRun, Standing)], tasks: &Tasks, unplanned: &[String]) -> String {
    let mut text = String::new();
    for (place, (run, standing)) in runs.iter().enumerate() {
        let task = tasks.said.get(&(place + 1)).map(|said| format!(", {said}"));
        let said = match standing {
            Standing::Waiting if task.is_none() => continue,
            Standing::Waiting => "not begun".into(),
            Standing::Begun { step, .. } => format!("step {step} of {}", run.steps),
            Standing::Finished(finished) => format!("finished, validation loss {:.4}", finished.validation_loss),
            Standing::Failed(reason) => format!("failed: {reason}"),
            Standing::Damaged(problem) => format!("damaged: {problem}"),
        };
        text += &format!("{:<40} {said}{}\n", run.name, task.unwrap_or_default());
    }
    let count = |is: fn(&Standing) -> bool| runs.iter().filter(|(_, standing)| is(standing)).count();
    text += &format!(
        "{} runs: {} finished, {} begun, {} waiting, {} failed, {} damaged\n",
        runs.len(),
        count(|standing| matches!(standing, Standing::Finished(_))),
        count(|standing| matches!(standing, Standing::Begun { .. })),
        count(|standing| matches!(standing, Standing::Waiting)),
        count(|standing| matches!(standing, Standing::Failed(_))),
        count(|standing| matches!(standing, Standing::Damaged(_))),
    );
    text += &tasks.notes;
    for name in unplanned {
        text += &format!("note: runs/{name} is none of the plan's runs; it is left alone and counts nowhere\n");
    }
    text
}
