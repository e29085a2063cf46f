//! y[.., i, ..] = x[.., start + i, ..]; and parts one behind the other.

use super::{Concatenate, Slice, extent};
use crate::definition::{Array, Defined};

pub(super) fn slice(slice: Slice, x: &Array) -> Vec<Defined> {
    let [rows, inner] = extent(&x.sizes, slice.dimension);
    let mut sizes = x.sizes.clone();
    sizes[slice.dimension] = slice.length;
    let mut data = Vec::new();
    for row in 0..rows {
        for at in 0..slice.length {
            let place = (row * x.sizes[slice.dimension] + slice.start + at) * inner;
            data.extend_from_slice(&x.data[place..place + inner]);
        }
    }
    vec![Defined::elementwise(Array::new(&sizes, data))]
}

pub(super) fn concatenate(concatenate: Concatenate, parts: &[Array]) -> Vec<Defined> {
    let [rows, inner] = extent(&parts[0].sizes, concatenate.dimension);
    let mut sizes = parts[0].sizes.clone();
    sizes[concatenate.dimension] = parts.iter().map(|part| part.sizes[concatenate.dimension]).sum();
    let mut data = Vec::new();
    for row in 0..rows {
        for part in parts {
            let width = part.sizes[concatenate.dimension] * inner;
            data.extend_from_slice(&part.data[row * width..(row + 1) * width]);
        }
    }
    vec![Defined::elementwise(Array::new(&sizes, data))]
}
