//! Cases: an operation with inputs, drawn from a seed.

use std::rc::Rc;

use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};

use super::forward_only::ForwardOnly;
use crate::definition::Array;
use crate::operation::{Forward, Operation};
use crate::tensor::Tensor;
use crate::{DType, Device, Result};

/// One input of a case.
#[derive(Debug, Clone)]
pub struct Input {
    /// The values, each exactly an f32, or indices.
    pub array: Array,
    /// Whether these are indices (u32) and not floats.
    pub index: bool,
    /// Whether the tensor is f16 on a GPU, see [`Input::half`].
    pub half: bool,
}

impl Input {
    /// A float input. Values are rounded to f32, so that every type computes with the same numbers.
    pub fn float(sizes: &[usize], data: Vec<f64>) -> Self {
        let rounded = data.into_iter().map(|x| f64::from(x as f32)).collect();
        Self { array: Array::new(sizes, rounded), index: false, half: false }
    }

    /// An index input.
    pub fn index(sizes: &[usize], data: &[usize]) -> Self {
        Self { array: Array::new(sizes, data.iter().map(|&x| x as f64).collect()), index: true, half: false }
    }

    /// The same float input for mixed precision: values rounded to f16. On a GPU its tensor, and so its gradient, is f16; on
    /// the CPU, where f16 is storage only, and in the definition it has the type computed in, with the same values.
    pub fn half(mut self) -> Self {
        debug_assert!(!self.index, "indices have no precision");
        self.array.data.iter_mut().for_each(|x| *x = half(*x).to_f64());
        Self { half: true, ..self }
    }

    /// The type of the input's tensor on a device that computes in `dtype`, where f16 stands for mixed precision.
    pub(crate) fn dtype(&self, device: &Device, dtype: DType) -> DType {
        match dtype {
            _ if self.index => DType::U32,
            _ if self.half && device.is_gpu() => DType::F16,
            DType::F16 => DType::F32,
            other => other,
        }
    }

    /// The input as a tensor; see [`Input::dtype`].
    pub(crate) fn tensor(&self, device: &Device, dtype: DType) -> Result<Tensor> {
        floats_or_indices(device, &self.array.sizes, &self.array.data, self.dtype(device, dtype))
    }
}

/// A tensor of exactly this type, from numbers that it holds.
pub(super) fn floats_or_indices(device: &Device, sizes: &[usize], data: &[f64], dtype: DType) -> Result<Tensor> {
    match dtype {
        DType::U32 => Tensor::new(device, sizes, &data.iter().map(|&x| x as u32).collect::<Vec<_>>()),
        DType::F64 => Tensor::new(device, sizes, data),
        DType::F16 => Tensor::new(device, sizes, &data.iter().map(|&x| half(x)).collect::<Vec<_>>()),
        DType::F32 => Tensor::new(device, sizes, &data.iter().map(|&x| x as f32).collect::<Vec<_>>()),
    }
}

/// What a number becomes in a type.
pub(super) fn rounded(x: f64, dtype: DType) -> f64 {
    match dtype {
        DType::F64 => x,
        DType::F16 => half(x).to_f64(),
        _ => f64::from(x as f32),
    }
}

/// The f16 nearest to an f32 number.
pub(super) fn half(x: f64) -> half::f16 {
    half::f16::from_f32(x as f32)
}

/// An operation with its inputs.
#[derive(Debug, Clone)]
pub struct Case {
    /// The operation, parameters set.
    pub operation: Rc<dyn Operation>,
    /// Its inputs in order.
    pub inputs: Vec<Input>,
    /// For the gradient of each input, a factor on the bound: 1 unless the operation's `cases.rs` says why more, with the
    /// error measured.
    pub slack: Vec<f64>,
    /// For the gradient of each input, how many terms the longest of its sums has, where that is more than the forward's
    /// sums and the average over its elements say.
    pub terms: Vec<usize>,
    /// How far, in rounding units of f16 times an element's l2 magnitude, intermediates that a GPU rounds to f16 may move
    /// results: 0 unless the operation's `cases.rs` says what is rounded, with the error measured.
    pub half_rounding: f64,
    /// For the gradient of each input, a factor on that: 1 unless the operation's `cases.rs` says why more.
    pub half_slack: Vec<f64>,
    /// Whether the operation has no gradient, see [`Case::forward_only`].
    pub forward_only: bool,
}

impl Case {
    /// A case with the standard bound.
    pub fn new(operation: impl Operation, inputs: Vec<Input>) -> Self {
        let count = inputs.len();
        Self {
            operation: Rc::new(operation),
            inputs,
            slack: vec![1.0; count],
            terms: vec![1; count],
            half_rounding: 0.0,
            half_slack: vec![1.0; count],
            forward_only: false,
        }
    }

    /// A case of an operation without a gradient. Outputs are compared with the definition, on whichever device is checked:
    /// the operation need not run on another.
    pub fn forward_only(operation: impl Forward, inputs: Vec<Input>) -> Self {
        Self { forward_only: true, ..Self::new(ForwardOnly(operation), inputs) }
    }

    /// The same with a wider bound on the gradient of the input at `place`. The caller's comment gives the reason and the
    /// measured error.
    pub fn with_slack(mut self, place: usize, slack: f64) -> Self {
        if let Some(entry) = self.slack.get_mut(place) {
            *entry = slack;
        }
        self
    }

    /// The same with the gradient of the input at `place` known to sum up to `terms` terms: rounding errors grow like their
    /// root.
    pub fn with_terms(mut self, place: usize, terms: usize) -> Self {
        if let Some(entry) = self.terms.get_mut(place) {
            *entry = terms;
        }
        self
    }

    /// The same with intermediates that a GPU rounds to f16, as the operands of a product inside the operation: each output
    /// and gradient may be off by `factor` · ε of f16 · the l2 magnitude of the element (see `compare.rs`; it grows like the
    /// root of the number of terms itself). The caller's comment says what is rounded and gives the measured error.
    pub fn with_half_rounding(mut self, factor: f64) -> Self {
        self.half_rounding = factor;
        self
    }

    /// The same with intermediates in f16 that move the gradient of the input at `place` by so much more. The caller's comment
    /// gives the reason and the measured error.
    pub fn with_half_slack(mut self, place: usize, slack: f64) -> Self {
        if let Some(entry) = self.half_slack.get_mut(place) {
            *entry = slack;
        }
        self
    }

    /// One line that tells the case from others.
    pub fn describe(&self) -> String {
        let shapes: Vec<String> = self.inputs.iter().map(|input| format!("{:?}", input.array.sizes)).collect();
        format!("{:?} on {}", self.operation, shapes.join(" "))
    }
}

/// Draws sizes and values for cases: the same seed gives the same case everywhere.
#[derive(Debug)]
pub struct Draw {
    random: SmallRng,
    /// An upper bound on the elements of one input; sizes shrink to stay near it.
    pub elements: usize,
}

impl Draw {
    /// A source for one case. `elements` bounds the size of an input.
    pub fn new(seed: u64, elements: usize) -> Self {
        Self { random: SmallRng::seed_from_u64(seed), elements }
    }

    /// A size from the classes that break kernels: 1, a small prime, one less than a tile, a tile, one more, three tiles
    /// and five more; or any up to there. Never above `most`.
    pub fn size(&mut self, tile: usize, most: usize) -> usize {
        const PRIMES: [usize; 6] = [2, 3, 5, 7, 13, 31];
        let size = match self.random.random_range(0..8) {
            0 => 1,
            1 => PRIMES[self.random.random_range(0..PRIMES.len())],
            2 => tile.saturating_sub(1).max(1),
            3 => tile,
            4 => tile + 1,
            5 => 3 * tile + 5,
            _ => self.random.random_range(1..=3 * tile + 5),
        };
        size.min(most.max(1))
    }

    /// A number from a range.
    pub fn number(&mut self, range: std::ops::RangeInclusive<usize>) -> usize {
        self.random.random_range(range)
    }

    /// One of the given.
    pub fn choose<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.random.random_range(0..from.len())]
    }

    /// A coin.
    pub fn coin(&mut self) -> bool {
        self.random.random()
    }

    /// A standard normal number (Box and Muller).
    pub fn normal(&mut self) -> f64 {
        let (u, v): (f64, f64) = (self.random.random(), self.random.random());
        (-2.0 * (1.0 - u).ln()).sqrt() * (std::f64::consts::TAU * v).cos()
    }

    /// A float input of normal numbers with this mean and deviation.
    pub fn normals(&mut self, sizes: &[usize], mean: f64, deviation: f64) -> Input {
        let count = sizes.iter().product();
        Input::float(sizes, (0..count).map(|_| mean + deviation * self.normal()).collect())
    }

    /// A float input uniform in a range.
    pub fn uniform(&mut self, sizes: &[usize], low: f64, high: f64) -> Input {
        let count = sizes.iter().product();
        Input::float(sizes, (0..count).map(|_| self.random.random_range(low..=high)).collect())
    }

    /// An index input with values below `limit`.
    pub fn indices(&mut self, sizes: &[usize], limit: usize) -> Input {
        let count: usize = sizes.iter().product();
        let data: Vec<usize> = (0..count).map(|_| self.random.random_range(0..limit)).collect();
        Input::index(sizes, &data)
    }
}
