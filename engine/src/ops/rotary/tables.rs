//! Cosines and sines of the rotation angles, made on the host: a GPU's `sin` and `cos` are too coarse for large angles.

use std::cell::RefCell;
use std::rc::Rc;

use crate::device::{Device, Gpu};
use crate::error::{Error, Result};
use crate::tensor::Tensor;

/// The rotations of positions `first_position..first_position + positions`. Cheap to clone: clones share the numbers and
/// what was uploaded of them. A model makes one for its context length and keeps it.
#[derive(Clone)]
pub struct RotaryTables(Rc<Inner>);

struct Inner {
    /// In radians a position: of each pair of elements its own.
    frequencies: Vec<f64>,
    head_dim: usize,
    first_position: usize,
    /// Row p: the cosines of all frequencies, then the sines. In f64 for the f64 computations, and rounded once.
    exact: Vec<f64>,
    single: Vec<f32>,
    /// The copies on GPUs, made on first use.
    uploaded: RefCell<Vec<Tensor>>,
}

impl RotaryTables {
    /// Tables for heads of `head_dim` elements and the base `theta`: the frequencies are θ^(−2j/D).
    ///
    /// # Errors
    /// An odd or zero `head_dim`, a `theta` that is not positive, or positions from 2^24 on.
    pub fn new(theta: f32, head_dim: usize, first_position: usize, positions: usize) -> Result<Self> {
        if !head_dim.is_multiple_of(2) {
            return Err(Error::shape("rotary", format!("head_dim must be even and not 0, it is {head_dim}")));
        }
        if !(theta.is_finite() && theta > 0.0) {
            return Err(Error::shape("rotary", format!("theta must be a positive number, it is {theta}")));
        }
        let frequency = |j: usize| f64::from(theta).powf(-((2 * j) as f64) / head_dim as f64);
        Self::with_frequencies((0..head_dim / 2).map(frequency).collect(), first_position, positions)
    }

    /// Tables of given frequencies, in radians a position, for heads of twice as many elements. Angles are their f64 products
    /// with the position. Hugging Face's models round both to f32, which is off by up to 6e-8 times the angle: 1e-6 at
    /// position 40, 3e-5 at position 1000, and nothing that a model means.
    ///
    /// # Errors
    /// No frequencies, one that is not finite, or positions from 2^24 on.
    pub fn with_frequencies(frequencies: Vec<f64>, first_position: usize, positions: usize) -> Result<Self> {
        let head_dim = 2 * frequencies.len();
        if head_dim == 0 {
            return Err(Error::shape("rotary", "head_dim must be even and not 0, it is 0"));
        }
        if let Some(wrong) = frequencies.iter().find(|frequency| !frequency.is_finite()) {
            return Err(Error::shape("rotary", format!("frequencies must be finite, one is {wrong}")));
        }
        let end = first_position.saturating_add(positions);
        if end > 1 << 24 {
            return Err(Error::shape("rotary", format!("positions must stay below 2^24; they reach {end}")));
        }
        let mut exact = Vec::with_capacity(positions * head_dim);
        for position in first_position..end {
            let angles = frequencies.iter().map(|frequency| position as f64 * frequency);
            exact.extend(angles.clone().map(f64::cos));
            exact.extend(angles.map(f64::sin));
        }
        let single = exact.iter().map(|&x| x as f32).collect();
        let uploaded = RefCell::default();
        Ok(Self(Rc::new(Inner { frequencies, head_dim, first_position, exact, single, uploaded })))
    }

    /// The head_dim that the tables are for.
    pub fn head_dim(&self) -> usize {
        self.0.head_dim
    }

    /// The positions that the tables hold.
    pub fn positions(&self) -> std::ops::Range<usize> {
        self.0.first_position..self.0.first_position + self.0.exact.len() / self.0.head_dim
    }

    /// Rows of all positions: cosines, then sines.
    pub(super) fn exact(&self) -> &[f64] {
        &self.0.exact
    }

    /// The same in f32.
    pub(super) fn single(&self) -> &[f32] {
        &self.0.single
    }

    /// The rows in f32 on a GPU.
    pub(crate) fn on_gpu(&self, gpu: &Gpu) -> Result<Tensor> {
        let device = Device::Gpu(gpu.clone());
        let mut uploaded = self.0.uploaded.borrow_mut();
        if let Some(found) = uploaded.iter().find(|tensor| tensor.device() == device) {
            return Ok(found.clone());
        }
        let tensor = Tensor::new(&device, &[self.positions().len(), self.0.head_dim], &self.0.single)?;
        uploaded.push(tensor.clone());
        Ok(tensor)
    }
}

impl std::fmt::Debug for RotaryTables {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (first, last) = (self.0.frequencies.first(), self.0.frequencies.last());
        let [first, last] = [first, last].map(|frequency| frequency.copied().unwrap_or_default());
        let head_dim = self.0.head_dim;
        write!(formatter, "frequencies {first} to {last}, head_dim {head_dim}, positions {:?}", self.positions())
    }
}
