//! Cases for the checks: probabilities from 0 to 1, both ends among them, and seeds of both words.

use super::Dropout;
use crate::check::{Case, Draw};

/// A case.
pub(crate) fn draw(draw: &mut Draw) -> Case {
    let columns = draw.size(64, draw.elements);
    let sizes = [draw.size(16, (draw.elements / columns).max(1)), columns];
    let probability = draw.choose(&[0.1, 0.5, 0.25, 0.9, 0.01, 0.0, 1.0]);
    let seed = draw.number(0..=usize::MAX) as u64;
    Case::new(Dropout { probability, seed }, vec![draw.normals(&sizes, 0.5, 1.0)])
}
