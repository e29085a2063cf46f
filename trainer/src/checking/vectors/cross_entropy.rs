//! Cross-entropy of given logits, reduced in each of the ways that a file has results of.
//!
//! logits [.., V], targets [..], of which those that are `ignore_index` do not count → the mean `loss_mean`, the sum
//! `loss_sum` and the losses themselves `loss_rows`; `lse`; and with the upstream gradient `dloss` of a mean or a sum (1 if
//! there is none) and `dloss_rows` of the losses themselves, the gradients `dlogits`, `dlogits_sum`, `dlogits_rows`.

use gradus_engine::ops::cross_entropy::{IGNORED, Reduction, cross_entropy_and_log_sum_exp};
use gradus_engine::{Tape, Tensor, Var};

use super::trial::{Trial, read};
use crate::error::Result;

/// PyTorch's, for a file that names none.
const IGNORE_INDEX: f64 = -100.0;

/// Every reduction that the file has a result of.
pub fn check(trial: &mut Trial) -> Result<()> {
    let vectors = trial.vectors;
    let logits = trial.tensor(vectors.array("logits")?)?;
    let targets = targets(trial, logits.sizes())?;
    for (reduction, loss, upstream, gradient) in [
        (Reduction::Mean, "loss_mean", "dloss", "dlogits"),
        (Reduction::Sum, "loss_sum", "dloss", "dlogits_sum"),
        (Reduction::None, "loss_rows", "dloss_rows", "dlogits_rows"),
    ] {
        if !vectors.has(loss) && !vectors.has(gradient) {
            continue;
        }
        let tape = Tape::new();
        let leaf = tape.leaf(logits.clone());
        let (value, log_sum_exp) = cross_entropy_and_log_sum_exp(&leaf, &targets, reduction)?;
        trial.compare(loss, "", &read(value.tensor())?)?;
        trial.compare("lse", &format!("beside {loss}"), &read(log_sum_exp.tensor())?)?;
        let seed = match vectors.optional_shaped(upstream, value.sizes())? {
            Some(array) => trial.tensor(&array)?,
            None if value.tensor().elements() == 1 => trial.ones(value.sizes())?,
            None => continue,
        };
        if let Some(found) = tape.backward_from(vec![(value, seed)])?.take(&leaf) {
            trial.compare(gradient, "", &read(&found)?)?;
        }
    }
    Ok(())
}

/// The targets as the operation takes them, for logits of these sizes.
fn targets(trial: &Trial, logits: &[usize]) -> Result<Var> {
    let vectors = trial.vectors;
    let (sizes, values) = vectors.integers("targets")?;
    let Some((&vocabulary, rows)) = logits.split_last().filter(|(_, rows)| *rows == sizes) else {
        return Err(vectors.problem(format!("tensor `targets` has sizes {sizes:?}, `logits` has {logits:?}")));
    };
    let ignored = vectors.optional_number("ignore_index")?.unwrap_or(IGNORE_INDEX);
    let known = |(place, &value): (usize, &i64)| match u32::try_from(value) {
        _ if value as f64 == ignored => Ok(IGNORED),
        Ok(target) if (target as usize) < vocabulary => Ok(target),
        _ => Err(vectors.problem(format!(
            "tensor `targets`: {value} at place {place} is outside 0..{vocabulary} and not the ignore_index {ignored}"
        ))),
    };
    let targets = values.iter().enumerate().map(known).collect::<Result<Vec<u32>>>()?;
    Ok(Tensor::new(trial.device, rows, &targets)?.into())
}
