//! Mistakes planted on purpose: a check that does not report them is no check.

use super::Case;
use super::evaluate::Outcome;
use crate::{DType, Device, Result};

/// A mistake as people make them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mistake {
    /// The backward forgets to multiply by the upstream gradient.
    UpstreamDropped,
    /// A result is stored with its last two dimensions exchanged.
    Transposed,
    /// Results are off by one place, as with a mask or an index that is.
    OffByOne,
    /// A wrong sign.
    Sign,
    /// One per cent too much.
    Scale,
    /// The last tile is never written.
    LastTileMissing,
}

impl Mistake {
    /// All of them.
    pub const ALL: [Self; 6] =
        [Self::UpstreamDropped, Self::Transposed, Self::OffByOne, Self::Sign, Self::Scale, Self::LastTileMissing];
}

/// The outcome as it would be with the mistake in gradients (and outputs, for those that concern both).
pub(crate) fn plant(
    mistake: Mistake,
    case: &Case,
    outcome: &Outcome,
    device: &Device,
    dtype: DType,
    upstream: &[Vec<f64>],
) -> Result<Option<Outcome>> {
    if mistake == Mistake::UpstreamDropped {
        let ones: Vec<Vec<f64>> = upstream.iter().map(|data| vec![1.0; data.len()]).collect();
        let planted = case.evaluate(device, dtype, &ones)?;
        return Ok(Some(Outcome { gradients: planted.gradients, ..outcome.clone() }));
    }
    let change = |data: &[f64], sizes: &[usize]| -> Vec<f64> {
        let mut data = data.to_vec();
        match mistake {
            Mistake::Sign => data.iter_mut().for_each(|x| *x = -*x),
            Mistake::Scale => data.iter_mut().for_each(|x| *x *= 1.01),
            Mistake::OffByOne => data.rotate_right(1),
            Mistake::LastTileMissing => {
                let written = data.len() - data.len().div_ceil(4);
                data[written..].fill(0.0);
            }
            Mistake::Transposed => {
                let (rows, columns) = match sizes {
                    [.., rows, columns] => (*rows, *columns),
                    _ => (1, data.len()),
                };
                // A vector has nothing to exchange; read backwards is the like of it.
                if rows == 1 || columns == 1 {
                    data.reverse();
                } else {
                    let matrix = data[..rows * columns].to_vec();
                    for (at, value) in matrix.iter().enumerate() {
                        data[at % columns * rows + at / columns] = *value;
                    }
                }
            }
            Mistake::UpstreamDropped => {}
        }
        data
    };
    let gradients = outcome.gradients.iter().zip(&case.inputs);
    let planted = Outcome {
        gradients: gradients
            .map(|(gradient, input)| gradient.as_ref().map(|data| change(data, &input.array.sizes)))
            .collect(),
        ..outcome.clone()
    };
    Ok((planted != *outcome).then_some(planted))
}
