//! The loss on held-out text, always on the same windows.

use gradus_engine::ops::linear_cross_entropy::IGNORED;
use gradus_models::Model;

use super::step::loss;
use crate::data::Batch;
use crate::error::Result;

/// The mean cross entropy in nats a target that counts, over all batches. `None` if `stop` said so before
/// the end.
///
/// # Errors
/// What the operations meet.
pub fn evaluate(model: &Model, batches: &[Batch], stop: impl Fn() -> bool) -> Result<Option<f64>> {
    let weights = model.constants();
    let mut losses = Vec::with_capacity(batches.len());
    let mut reading: Option<gradus_engine::tensor::Reading<f32>> = None;
    for batch in batches {
        if stop() {
            return Ok(None);
        }
        let next = loss(model, &weights, batch)?.tensor().read::<f32>()?;
        // One batch is computed while the loss of the one before is fetched.
        if let Some(before) = reading.replace(next) {
            losses.extend(before.wait()?);
        }
    }
    if let Some(last) = reading {
        losses.extend(last.wait()?);
    }
    let counted: Vec<f64> = batches.iter().map(|batch| batch.counted() as f64).collect();
    let sum: f64 = losses.iter().zip(&counted).map(|(loss, counted)| f64::from(*loss) * counted).sum();
    Ok(Some(sum / counted.iter().sum::<f64>().max(1.0)))
}

/// The share of the targets that count which are the likeliest token. `None` if `stop` said so before the end.
///
/// # Errors
/// What the operations meet.
pub fn accuracy(model: &Model, batches: &[Batch], stop: impl Fn() -> bool) -> Result<Option<f64>> {
    // In f32, whatever the model trains in: clones share the weights.
    let model = Model::with_weights(model.configuration().clone(), model.weights.clone())?;
    let vocabulary = model.configuration().vocab_size;
    let (mut right, mut counted) = (0u64, 0u64);
    for batch in batches {
        let rows = batch.inputs.chunks(batch.context).zip(batch.targets.chunks(batch.context));
        for (inputs, targets) in rows {
            if stop() {
                return Ok(None);
            }
            let mut targets = targets.iter();
            model.logits_in_blocks(inputs, |logits| -> Result<()> {
                for (logits, target) in logits.chunks(vocabulary).zip(targets.by_ref()) {
                    if *target != IGNORED {
                        counted += 1;
                        right += u64::from(likeliest(logits) == *target);
                    }
                }
                Ok(())
            })?;
        }
    }
    Ok(Some(right as f64 / counted.max(1) as f64))
}

fn likeliest(logits: &[f32]) -> u32 {
    let best = logits.iter().enumerate().max_by(|left, right| left.1.total_cmp(right.1));
    best.map_or(0, |(token, _)| token as u32)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::configuration::Configuration;
    use crate::data::tasks::{Rows, Task};
    use crate::training::step::{Learner, optimizer};
    use gradus_engine::Device;
    use gradus_models::configuration::presets;

    /// The accuracy on held-out rows before and after some steps of a small model.
    fn learned(preset: &str, task: Task, context: usize, steps: u64, learning_rate: f64) -> [f64; 2] {
        let mut model = presets::find(preset).unwrap().model;
        (model.num_blocks, model.vocab_size, model.context_length) = (2, task.vocabulary(), context);
        (model.embedding_dim, model.feed_forward_dim, model.chunk_size) = (64, 128, 32);
        let configuration = Configuration::for_model(model.clone());
        let model = Model::new(model, &Device::cpu(), 1).unwrap();
        let optimizer = optimizer(&model, &configuration.optimizer, &configuration.precision).unwrap();
        let mut learner = Learner::new(model, optimizer);
        let rows = Rows::new(task, context, 1).unwrap();
        let held_out = [rows.clone().held_out().batch(0, 64)];
        let before = accuracy(&learner.model, &held_out, || false).unwrap().unwrap();
        for step in 0..steps {
            let rate = learning_rate * ((step + 1) as f64 / 50.0).min(1.0);
            let taken = learner.step(step + 1, &[rows.batch(32 * step, 32)], 0, rate).unwrap();
            if step % 100 == 99 {
                println!("{preset} {task}: step {}, loss {:.3}", step + 1, taken.wait().unwrap().0);
            }
        }
        [before, accuracy(&learner.model, &held_out, || false).unwrap().unwrap()]
    }

    fn learns(preset: &str, task: Task, steps: u64, least: f64) {
        let [before, after] = learned(preset, task, 16, steps, 2e-3);
        println!("{preset} {task}: {before:.3} before, {after:.3} after; chance {:.3}", task.chance());
        assert!(before < 4.0 * task.chance() && after > least, "{preset} {task}: {before} before, {after} after");
    }

    #[test]
    fn small_models_learn_to_copy() {
        learns("llama-tiny", Task::Copy, 200, 0.95);
        learns("xlstm-tiny", Task::Copy, 400, 0.5);
    }

    #[test]
    fn a_small_transformer_learns_to_recall() {
        learns("llama-tiny", Task::Recall, 900, 0.9);
    }
}
