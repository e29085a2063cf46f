//! Mistakes planted on purpose: a check that does not report them is no check. The same list serves to guess what is wrong
//! with a result that is over its bound.

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

    /// What it would look like, for a message.
    pub fn description(self) -> &'static str {
        match self {
            Self::UpstreamDropped => "the upstream gradient is left out",
            Self::Transposed => "the last two dimensions are exchanged",
            Self::OffByOne => "everything is one place off",
            Self::Sign => "the sign is wrong",
            Self::Scale => "everything is 1 % too large",
            Self::LastTileMissing => "the last quarter is missing",
        }
    }

    /// Whether it can be made in this direction.
    pub fn concerns(self, direction: Direction) -> bool {
        direction == Direction::Backward || self != Self::UpstreamDropped
    }
}

/// Forward or backward.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// The outputs.
    Forward,
    /// The gradients of the inputs.
    Backward,
}

impl Direction {
    /// Both.
    pub const BOTH: [Self; 2] = [Self::Forward, Self::Backward];

    /// The word for it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Forward => "forward",
            Self::Backward => "backward",
        }
    }
}

/// The outcome as it would be with the mistake in one direction; `None` if nothing would differ.
pub(crate) fn plant(
    mistake: Mistake,
    direction: Direction,
    case: &Case,
    outcome: &Outcome,
    (device, dtype): (&Device, DType),
    upstream: &[Vec<f64>],
) -> Result<Option<Outcome>> {
    let mut planted = outcome.clone();
    match (direction, mistake) {
        (Direction::Backward, Mistake::UpstreamDropped) => {
            let ones: Vec<Vec<f64>> = upstream.iter().map(|data| vec![1.0; data.len()]).collect();
            planted.gradients = case.evaluate(device, dtype, &ones)?.gradients;
        }
        (Direction::Forward, Mistake::UpstreamDropped) => return Ok(None),
        (Direction::Backward, _) => {
            for (gradient, input) in planted.gradients.iter_mut().zip(&case.inputs) {
                if let Some(data) = gradient {
                    spoil(mistake, data, &input.array.sizes);
                }
            }
        }
        (Direction::Forward, _) => {
            for (data, sizes) in planted.outputs.iter_mut().zip(case.output_sizes()?) {
                spoil(mistake, data, &sizes);
            }
        }
    }
    Ok((planted != *outcome).then_some(planted))
}

fn spoil(mistake: Mistake, data: &mut [f64], sizes: &[usize]) {
    match mistake {
        Mistake::Sign => data.iter_mut().for_each(|x| *x = -*x),
        Mistake::Scale => data.iter_mut().for_each(|x| *x *= 1.01),
        Mistake::OffByOne if !data.is_empty() => data.rotate_right(1),
        Mistake::LastTileMissing => {
            let written = data.len() - data.len().div_ceil(4);
            data[written..].fill(0.0);
        }
        Mistake::Transposed => match sizes {
            [.., rows, columns] if *rows > 1 && *columns > 1 && !data.is_empty() => {
                let matrix = data[..rows * columns].to_vec();
                for (at, value) in matrix.iter().enumerate() {
                    data[at % columns * rows + at / columns] = *value;
                }
            }
            // A vector has nothing to exchange; read backwards is the like of it.
            _ => data.reverse(),
        },
        Mistake::OffByOne | Mistake::UpstreamDropped => {}
    }
}
