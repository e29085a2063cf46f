//! y[.., i, ..] = x[.., index[.., i, ..], ..]

use super::Gather;
use crate::definition::{Array, Defined};

pub(super) fn define(gather: Gather, x: &Array, index: &Array) -> Vec<Defined> {
    let (rank, dimension) = (x.sizes.len(), gather.dimension());
    let sizes = match gather {
        Gather::Elements { .. } => index.sizes.clone(),
        Gather::Slices { .. } => {
            let mut sizes = x.sizes.clone();
            sizes[dimension] = index.data.len();
            sizes
        }
    };
    let count = sizes.iter().product();
    let element = |flat: usize| {
        let (mut at, mut rest) = (vec![0; rank], flat);
        for d in (0..rank).rev() {
            at[d] = rest % sizes[d];
            rest /= sizes[d];
        }
        at[dimension] = match gather {
            Gather::Elements { .. } => index.data[flat],
            Gather::Slices { .. } => index.data[at[dimension]],
        } as usize;
        x.data[at.iter().zip(&x.sizes).fold(0, |flat, (&at, &size)| flat * size + at)]
    };
    vec![Defined::elementwise(Array::new(&sizes, (0..count).map(element).collect()))]
}
