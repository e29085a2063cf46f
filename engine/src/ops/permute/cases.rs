//! Cases for the checks: every order of up to five dimensions, sizes around a tile's.

use super::Permute;
use crate::check::{Case, Draw};

/// Random orders.
pub(crate) fn draw(draw: &mut Draw) -> Case {
    let rank = draw.number(1..=5);
    let mut left = draw.elements;
    let mut sizes = vec![1; rank];
    // Two dimensions may be as long as a tile, wherever they are; the others share what is left.
    let mut places: Vec<usize> = (0..rank).collect();
    let mut order = places.clone();
    for at in (1..rank).rev() {
        places.swap(at, draw.number(0..=at));
        order.swap(at, draw.number(0..=at));
    }
    for (turn, &place) in places.iter().enumerate() {
        let most = if turn < 2 { left } else { left.min(6) };
        sizes[place] = draw.size(if turn < 2 { 32 } else { 2 }, most);
        left /= sizes[place];
    }
    Case::new(Permute { order }, vec![draw.normals(&sizes, 0.0, 1.0)])
}
