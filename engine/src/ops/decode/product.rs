//! Products of an f16 weight with the vectors of a few texts.

use bytemuck::{Pod, Zeroable, bytes_of};
use gradus_shaders::decode as shaders;

use super::{NAME, PACK, expect, gpu_of};
use crate::DType;
use crate::device::gpu::{Cost, Dispatch, Workgroups};
use crate::error::{Error, Result};
use crate::tensor::Tensor;

/// What is done with a product.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Finish {
    /// It is the result.
    Store,
    /// It is added to what the result holds.
    Add,
    /// The weight has the rows of all gates, then those of all values: g · σ(g) · v is the result.
    SwiGlu,
    /// x becomes c · tanh(x / c).
    Cap(f64),
}

/// weight [n, depth] (f16) times each row of x [batch, depth] (f32).
#[derive(Debug, Clone, Copy)]
pub struct Product<'a> {
    /// [n, depth], depth a multiple of [`PACK`].
    pub weight: &'a Tensor,
    /// [n], added to the products before they are finished. There is none before a soft cap.
    pub bias: Option<&'a Tensor>,
    /// [batch, depth]
    pub x: &'a Tensor,
    /// An RMSNorm of x before: its weight [depth] and ε.
    pub normed: Option<(&'a Tensor, f64)>,
    /// What is done with the products.
    pub finish: Finish,
    /// The first column of the result that is written.
    pub first: usize,
}

#[derive(Clone, Copy, Pod, Zeroable)]
#[repr(C)]
struct Parameters {
    rows: u32,
    packs: u32,
    batch: u32,
    groups: u32,
    y_first: u32,
    y_stride: u32,
    epsilon: f32,
    cap: f32,
}

/// How a product is spread over invocations.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Spread {
    /// Invocations that share a row.
    pub team: usize,
    /// Rows of the weight that a team has.
    pub each: usize,
    /// Texts at once.
    pub texts: usize,
}

/// Invocations that keep a large GPU's memory busy.
const BUSY: usize = 1 << 17;
/// Invocations a workgroup.
const LANES: usize = 256;
const MOST_TEXTS: usize = 8;

impl Spread {
    /// As many rows a team as leave the GPU busy, up to four; if even one leaves it idle, larger teams, as long as each
    /// invocation has something to read. Several texts need at least two rows a team, or their vectors are read too often.
    pub(super) fn of(outputs: usize, depth: usize, batch: usize, pair: bool) -> Self {
        let texts = batch.next_power_of_two().min(MOST_TEXTS);
        let halves = if pair { 2 } else { 1 };
        let least = if texts > 1 { 2 } else { halves };
        let groups = batch.div_ceil(texts);
        let lanes = |team: usize, each: usize| outputs * halves / each * team * groups;
        let (mut team, mut each) = (32, 4);
        while lanes(team, each) < BUSY && each > least {
            each /= 2;
        }
        while lanes(team, each) < BUSY && 2 * team <= (depth / PACK).min(LANES) {
            team *= 2;
        }
        Self { team, each, texts }
    }
}

impl Product<'_> {
    /// Into `y` [batch, columns].
    ///
    /// # Errors
    /// Tensors of other types or sizes, on the CPU or on several devices, a depth that is no multiple of [`PACK`], a bias before
    /// a soft cap, or a `y` that is shared.
    pub fn run(&self, y: &mut Tensor) -> Result<()> {
        let gpu = gpu_of(self.weight)?;
        let &[rows, depth] = self.weight.sizes() else {
            return Err(Error::shape(NAME, format!("the weight must be a matrix, got {:?}", self.weight)));
        };
        if self.weight.dtype() != DType::F16 || depth == 0 || !depth.is_multiple_of(PACK) {
            let message = format!("the weight must be f16 with rows of a multiple of {PACK}, got {:?}", self.weight);
            return Err(Error::shape(NAME, message));
        }
        let batch = self.x.elements() / depth;
        expect("x", self.x, DType::F32, batch * depth)?;
        let pair = self.finish == Finish::SwiGlu;
        if pair && !rows.is_multiple_of(2) {
            return Err(Error::shape(
                NAME,
                format!("gates and values must be of one number, the weight has {rows} rows"),
            ));
        }
        let outputs = if pair { rows / 2 } else { rows };
        let stride = y.elements().checked_div(batch).unwrap_or(0);
        if batch == 0 || outputs == 0 || y.elements() != batch * stride || self.first + outputs > stride {
            let (first, x) = (self.first, self.x);
            return Err(Error::shape(NAME, format!("{outputs} results of {x:?} from {first} on do not fit {y:?}")));
        }
        expect("the result", y, DType::F32, batch * stride)?;
        if let Some((scale, _)) = self.normed {
            expect("the norm's weight", scale, DType::F32, depth)?;
        }
        if let Some(bias) = self.bias {
            expect("the bias", bias, DType::F32, rows)?;
        }
        y.exclusive(NAME)?;
        let Spread { team, each, texts } = Spread::of(outputs, depth, batch, pair);
        let groups = batch.div_ceil(texts);
        let (kernel, cap) = match (self.finish, self.bias.is_some()) {
            (Finish::Store, false) => (&shaders::STORE, 0.0),
            (Finish::Store, true) => (&shaders::STORE_BIAS, 0.0),
            (Finish::Add, false) => (&shaders::ADD, 0.0),
            (Finish::Add, true) => (&shaders::ADD_BIAS, 0.0),
            (Finish::SwiGlu, false) => (&shaders::SWIGLU, 0.0),
            (Finish::SwiGlu, true) => (&shaders::SWIGLU_BIAS, 0.0),
            (Finish::Cap(cap), false) => (&shaders::CAP, cap),
            (Finish::Cap(_), true) => {
                return Err(Error::shape(
                    NAME,
                    "a product with a soft cap has no bias; add it in a product of its own",
                ));
            }
        };
        let parameters = Parameters {
            rows: outputs as u32,
            packs: (depth / PACK) as u32,
            batch: batch as u32,
            groups: groups as u32,
            y_first: self.first as u32,
            y_stride: stride as u32,
            epsilon: self.normed.map_or(0.0, |(_, epsilon)| epsilon as f32),
            cap: cap as f32,
        };
        let outputs_each = if pair { each / 2 } else { each };
        let workgroups = outputs.div_ceil(LANES / team * outputs_each) * groups;
        let scale = self.normed.map_or(self.x, |(scale, _)| scale);
        let buffers: Vec<&Tensor> = [self.weight, self.x, scale, &*y].into_iter().chain(self.bias).collect();
        gpu.dispatch(&Dispatch {
            operation: NAME,
            kernel,
            element: DType::F32,
            constants: &shaders::product_constants(team as u32, each as u32, texts as u32, self.normed.is_some()),
            parameters: bytes_of(&parameters),
            buffers: &buffers,
            workgroups: Workgroups::Linear(workgroups),
            cost: Cost {
                flops: 2.0 * (rows * depth * batch) as f64,
                bytes: (self.weight.spec().bytes() + self.x.spec().bytes() + 4 * batch * outputs) as f64,
            },
        })
    }
}
