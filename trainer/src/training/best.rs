//! The evaluation of the lowest loss, whose checkpoint stays beside the newest.

use std::path::Path;

use crate::run_folder::{EvaluationRow, Row, checkpoint};

/// A step and its validation loss.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Best {
    /// Steps done.
    pub step: u64,
    /// Mean cross entropy on the held-out text, nats a token.
    pub loss: f64,
}

impl Best {
    /// Of the steps of a run whose checkpoints are there, the one of the lowest loss in its rows.
    pub fn among(rows: &[Row], run: &Path) -> Option<Self> {
        let steps: Vec<u64> = checkpoint::steps_in(&run.join(checkpoint::FOLDER)).collect();
        let evaluations = rows.iter().filter_map(|row| match row {
            Row::Evaluation(row) if steps.contains(&row.step) => Some(row),
            _ => None,
        });
        evaluations.fold(None, |best, row| Self::improved(best, row).or(best))
    }

    /// An evaluation that is better than the best so far. A loss that is not finite never is; of equal ones the first is.
    pub fn improved(best: Option<Self>, row: &EvaluationRow) -> Option<Self> {
        let (step, loss) = (row.step, row.validation_loss);
        let better = loss.is_finite() && best.is_none_or(|best| loss < best.loss);
        better.then_some(Self { step, loss })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_best_is_the_lowest_finite_loss_whose_checkpoint_is_there() {
        let run = tempfile::tempdir().unwrap();
        let row = |(step, loss): (u64, f64)| {
            Row::Evaluation(EvaluationRow {
                step,
                validation_loss: loss,
                validation_bits_per_byte: loss,
                accuracy: None,
            })
        };
        let rows: Vec<Row> = [(1, f64::NAN), (2, 1.5), (3, 1.0), (4, 1.25), (5, 1.25)].into_iter().map(row).collect();
        let best = |steps: &[u64]| {
            let parent = run.path().join(checkpoint::FOLDER);
            let _ = std::fs::remove_dir_all(&parent);
            for step in steps {
                std::fs::create_dir_all(parent.join(checkpoint::step_name(*step))).unwrap();
            }
            Best::among(&rows, run.path()).map(|best| best.step)
        };
        assert_eq!(best(&[]), None);
        assert_eq!(best(&[1]), None);
        assert_eq!(best(&[1, 2, 3, 4, 5]), Some(3));
        assert_eq!(best(&[1, 2, 4, 5]), Some(4));
    }
}
