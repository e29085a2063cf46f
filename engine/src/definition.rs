//! Plain f64 arrays, in which definitions are written.

/// A row-major f64 array. Indices are stored as floats.
#[derive(Debug, Clone, PartialEq)]
pub struct Array {
    /// The sizes, outermost first.
    pub sizes: Vec<usize>,
    /// The elements.
    pub data: Vec<f64>,
}

impl Array {
    /// An array of these sizes.
    pub fn new(sizes: &[usize], data: Vec<f64>) -> Self {
        debug_assert_eq!(sizes.iter().product::<usize>(), data.len());
        Self { sizes: sizes.to_vec(), data }
    }

    /// The size of the last dimension.
    pub fn last(&self) -> usize {
        self.sizes.last().copied().unwrap_or(1)
    }

    /// The element at a full index.
    pub fn at<const N: usize>(&self, index: [usize; N]) -> f64 {
        self.data[self.offset(index)]
    }

    /// The flat place of a full index.
    pub fn offset<const N: usize>(&self, index: [usize; N]) -> usize {
        debug_assert_eq!(N, self.sizes.len());
        index.iter().zip(&self.sizes).fold(0, |offset, (&at, &size)| offset * size + at)
    }
}

/// A visible output by its definition.
#[derive(Debug, Clone)]
pub struct Defined {
    /// The exact value, up to f64 rounding.
    pub value: Array,
    /// For each element the sum of the absolute values of its terms, S: rounding errors are proportional to it.
    pub magnitude: Vec<f64>,
    /// How many terms a sum has, n: errors of sums grow like √n.
    pub terms: usize,
}

impl Defined {
    /// An output each of whose elements is one term.
    pub fn elementwise(value: Array) -> Self {
        let magnitude = value.data.iter().map(|x| x.abs()).collect();
        Self { value, magnitude, terms: 1 }
    }
}
