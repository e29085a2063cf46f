//! [`proptest`] strategies for tensors: shapes that break kernels, values of every magnitude, whole cases of an operation.
//! They shrink: to smaller sizes, to numbers nearer to 0, to cases of fewer elements.
//!
//! ```
//! use gradus_engine::check::{check_case, strategies};
//! use gradus_engine::{DType, Device};
//! use proptest::prelude::*;
//!
//! let row = &gradus_engine::check::TABLE[0];
//! proptest!(ProptestConfig::with_cases(8), |(case in strategies::cases(row.draw, 256), seed: u64)| {
//!     let measured = check_case(&case, &Device::cpu(), DType::F32, seed)?;
//!     prop_assert!(measured.worst() <= 1.0, "{}", case.describe());
//! });
//! ```

use proptest::collection::vec;
use proptest::prelude::*;

use super::{Case, Draw, Input};

/// A size from the classes that break kernels: 1, a small prime, one less than a tile, a tile, one more, three tiles and
/// five more, or any up to there; never above `most`.
pub fn size(tile: usize, most: usize) -> impl Strategy<Value = usize> {
    let classes = [1, tile.saturating_sub(1).max(1), tile, tile + 1, 3 * tile + 5];
    let most = most.max(1);
    prop_oneof![
        2 => proptest::sample::select(vec![2usize, 3, 5, 7, 13, 31]),
        5 => proptest::sample::select(classes.to_vec()),
        2 => 1..=3 * tile + 5,
    ]
    .prop_map(move |size| size.min(most))
}

/// Shapes of so many dimensions, their sizes as [`size`] draws them, with no more than `elements` elements.
pub fn shape(
    rank: impl Into<proptest::collection::SizeRange>,
    tile: usize,
    elements: usize,
) -> impl Strategy<Value = Vec<usize>> {
    vec(size(tile, elements), rank).prop_map(move |mut sizes| {
        // The largest is cut first: small sizes are the ones that break kernels.
        while sizes.iter().product::<usize>() > elements.max(1) {
            if let Some(largest) = sizes.iter_mut().max() {
                *largest = (*largest / 2).max(1);
            }
        }
        sizes
    })
}

/// Numbers around 0 as weights and activations are.
pub fn moderate() -> impl Strategy<Value = f64> {
    -4.0..4.0f64
}

/// Positive numbers away from 0, for logarithms, roots and divisors.
pub fn positive() -> impl Strategy<Value = f64> {
    0.1..10.0f64
}

/// Every finite f32 that is not denormal: all magnitudes, both signs, zeros.
pub fn any_magnitude() -> impl Strategy<Value = f64> {
    use proptest::num::f32::{NEGATIVE, NORMAL, POSITIVE, ZERO};
    (NORMAL | ZERO | POSITIVE | NEGATIVE).prop_map(f64::from)
}

/// A float input of this shape.
pub fn tensor(sizes: Vec<usize>, values: impl Strategy<Value = f64>) -> impl Strategy<Value = Input> {
    let count: usize = sizes.iter().product();
    vec(values, count).prop_map(move |data| Input::float(&sizes, data))
}

/// An index input of this shape with values below `limit`.
pub fn indices(sizes: Vec<usize>, limit: usize) -> impl Strategy<Value = Input> {
    let count: usize = sizes.iter().product();
    vec(0..limit.max(1), count).prop_map(move |data| Input::index(&sizes, &data))
}

/// Cases of an operation as its `draw` makes them, with inputs of up to about `elements` elements; fewer when shrinking.
pub fn cases(draw: fn(&mut Draw) -> Case, elements: usize) -> impl Strategy<Value = Case> {
    (any::<u64>().no_shrink(), 1..=elements.max(1))
        .prop_map(move |(seed, elements)| draw(&mut Draw::new(seed, elements)))
}
