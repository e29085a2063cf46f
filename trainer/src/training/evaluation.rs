//! The loss on held-out text, always on the same windows.

use gradus_models::Model;

use super::step::tensors;
use crate::data::Batch;
use crate::error::Result;

/// The mean cross entropy in nats a token over the batches, which all have the same size. `None` if `stop` said so before
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
        let (inputs, targets) = tensors(model, batch)?;
        let next = model.loss(&weights, &inputs, &targets)?.tensor().read::<f32>()?;
        // One batch is computed while the loss of the one before is fetched.
        if let Some(before) = reading.replace(next) {
            losses.extend(before.wait()?);
        }
    }
    if let Some(last) = reading {
        losses.extend(last.wait()?);
    }
    Ok(Some(losses.iter().map(|loss| f64::from(*loss)).sum::<f64>() / losses.len() as f64))
}
