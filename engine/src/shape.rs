//! Shapes of contiguous row-major tensors, up to five dimensions.

use crate::error::{Error, Result};

/// The most dimensions a tensor may have.
pub const MAX_DIMENSIONS: usize = 5;

/// The sizes of a tensor's dimensions, outermost first. A scalar has none.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Shape {
    sizes: [usize; MAX_DIMENSIONS],
    rank: usize,
}

impl Shape {
    /// A shape of the given sizes.
    ///
    /// # Errors
    /// More than five dimensions, or a product that overflows.
    pub fn new(sizes: &[usize]) -> Result<Self> {
        if sizes.len() > MAX_DIMENSIONS {
            return Err(Error::shape(
                "shape",
                format!("{sizes:?} has {} dimensions, at most {MAX_DIMENSIONS} are supported", sizes.len()),
            ));
        }
        let elements = sizes.iter().try_fold(1usize, |product, &size| product.checked_mul(size));
        // Eight bytes is the widest element; the byte count must fit as well.
        if elements.and_then(|count| count.checked_mul(8)).is_none() {
            return Err(Error::shape("shape", format!("{sizes:?} has more elements than can be addressed")));
        }
        let mut padded = [1; MAX_DIMENSIONS];
        padded[..sizes.len()].copy_from_slice(sizes);
        Ok(Self { sizes: padded, rank: sizes.len() })
    }

    /// The sizes, outermost first.
    pub fn sizes(&self) -> &[usize] {
        &self.sizes[..self.rank]
    }

    /// How many dimensions there are.
    pub fn rank(&self) -> usize {
        self.rank
    }

    /// How many elements there are: the product of the sizes.
    pub fn elements(&self) -> usize {
        self.sizes().iter().product()
    }

    /// The size of the last dimension, 1 for a scalar.
    pub fn last(&self) -> usize {
        self.sizes().last().copied().unwrap_or(1)
    }

    /// The product of all dimensions but the last.
    pub fn rows(&self) -> usize {
        self.sizes().split_last().map_or(1, |(_, outer)| outer.iter().product())
    }

    /// The shape that two shapes broadcast to: aligned at the last dimension, where sizes are equal or one of them is 1.
    ///
    /// # Errors
    /// Sizes that differ and are not 1; the message names both shapes.
    pub fn broadcast(operation: &'static str, left: &Self, right: &Self) -> Result<Self> {
        let rank = left.rank.max(right.rank);
        let mut sizes = [1; MAX_DIMENSIONS];
        for (index, size) in sizes.iter_mut().enumerate().take(rank) {
            let of = |shape: &Self| (index + shape.rank).checked_sub(rank).map_or(1, |at| shape.sizes[at]);
            *size = match (of(left), of(right)) {
                (a, b) if a == b => a,
                (1, b) => b,
                (a, 1) => a,
                _ => return Err(Error::shape(operation, format!("{left:?} and {right:?} do not broadcast"))),
            };
        }
        Self::new(&sizes[..rank])
    }

    /// Strides in elements of this contiguous shape seen as `target` (0 where it is repeated), padded in front to five.
    pub fn broadcast_strides(&self, target: &Self) -> [usize; MAX_DIMENSIONS] {
        let mut strides = [0; MAX_DIMENSIONS];
        let mut stride = 1;
        for back in 1..=self.rank {
            let size = self.sizes[self.rank - back];
            let repeated = size == 1 && back <= target.rank && target.sizes[target.rank - back] != 1;
            strides[MAX_DIMENSIONS - back] = if repeated { 0 } else { stride };
            stride *= size;
        }
        strides
    }

    /// The sizes padded in front with ones to five.
    pub fn padded(&self) -> [usize; MAX_DIMENSIONS] {
        let mut padded = [1; MAX_DIMENSIONS];
        padded[MAX_DIMENSIONS - self.rank..].copy_from_slice(self.sizes());
        padded
    }
}

impl std::fmt::Debug for Shape {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "{:?}", self.sizes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn broadcasting_aligns_at_the_last_dimension() {
        let left = Shape::new(&[4, 1, 3]).unwrap();
        let right = Shape::new(&[5, 1]).unwrap();
        let both = Shape::broadcast("add", &left, &right).unwrap();
        assert_eq!(both.sizes(), [4, 5, 3]);
        assert_eq!(left.broadcast_strides(&both), [0, 0, 3, 0, 1]);
        assert_eq!(right.broadcast_strides(&both), [0, 0, 0, 1, 0]);
        let error = Shape::broadcast("add", &left, &Shape::new(&[2]).unwrap()).unwrap_err();
        assert_eq!(error.to_string(), "add: [4, 1, 3] and [2] do not broadcast");
    }

    #[test]
    fn sizes_that_overflow_are_refused() {
        assert!(Shape::new(&[usize::MAX, 2]).is_err());
        assert!(Shape::new(&[1; 6]).is_err());
        assert_eq!(Shape::new(&[]).unwrap().elements(), 1);
    }
}
