//! y[i_0, i_1, ..] = x[j_0, j_1, ..] with j_order[k] = i_k.

use super::Permute;
use crate::definition::{Array, Defined};

pub(super) fn define(permute: &Permute, x: &Array) -> Vec<Defined> {
    let sizes: Vec<usize> = permute.order.iter().map(|&dimension| x.sizes[dimension]).collect();
    let element = |place: usize| {
        let mut rest = place;
        let mut index = vec![0; sizes.len()];
        for k in (0..sizes.len()).rev() {
            index[permute.order[k]] = rest % sizes[k];
            rest /= sizes[k];
        }
        x.data[index.iter().zip(&x.sizes).fold(0, |offset, (&at, &size)| offset * size + at)]
    };
    vec![Defined::elementwise(Array::new(&sizes, (0..x.data.len()).map(element).collect()))]
}
