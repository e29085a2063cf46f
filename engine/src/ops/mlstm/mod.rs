//! The mLSTM cell with the exponential input gate, chunkwise.
//!
//! For each batch element and head, with query q, key k [dqk], value v [dv], gate pre-activations i, f (already capped),
//! lf = ln σ(f), scale s = 1/√dqk, and a state C [dqk, dv], n [dqk], m (zero if none is given):
//!
//! ```text
//! m_t = max(lf_t + m_{t−1}, i_t)
//! C_t = exp(lf_t + m_{t−1} − m_t) C_{t−1} + exp(i_t − m_t) k_t v_tᵀ      n_t likewise with k_t
//! den_t = s n_t·q_t      D_t = max(|den_t|, exp(−m_t)) + ε      h_t = s C_tᵀ q_t / D_t
//! ```
//!
//! The same, L positions at a time, with b_t = Σ_{r≤t} lf_r and a_t = Σ_{r>t} lf_r + i_t inside a chunk, g = b_L, and the
//! state C, m before the chunk (TFLA, arXiv 2503.14376):
//!
//! ```text
//! decay_tj = exp(Σ_{j<r≤t} lf_r + i_j − m_t) for j ≤ t, else 0      S = s QKᵀ ⊙ decay
//! num = s exp(b + m − m_t) ⊙ QC + SV      den = s exp(b + m − m_t) ⊙ Qn + S1
//! m' = max(g + m, max a)      C' = exp(g + m − m') C + (exp(a − m') ⊙ K)ᵀ V      n' likewise with 1 for V
//! ```
//!
//! Sums of lf are taken over the segment itself: differences of prefix sums would cancel. The stabiliser m drops out of
//! h when ε = 0, so the backward holds it constant. With X = dH/D and y = −(dH·h)/D·sign(den), y = 0 where D is on its
//! floor exp(−m), V⁺ = [V, 1], X⁺ = [X, y], C⁺ = [C, n], and from the last chunk to the first:
//!
//! ```text
//! dC⁺ = exp(g + m − m') dC⁺' + (s exp(b + m − m_t) ⊙ Q)ᵀ X⁺
//! dS = s decay ⊙ (X⁺ V⁺ᵀ)
//! dQ = dS K + s exp(b + m − m_t) ⊙ (X⁺ C⁺ᵀ)      dK = dSᵀ Q + exp(a − m') ⊙ (V⁺ dC⁺'ᵀ)
//! dV = Sᵀ X + exp(a − m') ⊙ (K dC')
//! di = k·dk      df_t = σ(−f_t) (Σ_{u≥t} (q_u·dq_u − k_u·dk_u) + ⟨C⁺_N, dC⁺_N⟩)      dm_0 = ⟨C⁺_0, dC⁺_0⟩
//! ```
//!
//! The final state that is handed out is divided by exp(m_N). A loss that looks at more than exp(m) C and exp(m) n thus
//! also moves along m_N, whose remaining gradient δ = dm_N − ⟨C⁺_N, dC⁺_N⟩ goes to the gates that made the maximum.
//!
//! Saved are the inputs, h and den; the states at the chunk borders are computed again in the backward.

mod backward_cpu;
mod backward_gpu;
pub(crate) mod cases;
mod definition;
mod forward_cpu;
mod gates_cpu;
mod gpu;
mod step;
#[cfg(test)]
mod tests;

pub use step::mlstm_step;

use crate::definition::{Array, Defined};
use crate::device::{Device, Gpu};
use crate::error::{Error, Result};
use crate::operation::{Context, Forward, Operation, Saves};
use crate::tape::{Var, apply, apply_one};
use crate::tensor::{Spec, Tensor};
use crate::{DType, Shape};

/// The smallest and the largest chunk.
pub const CHUNK_SIZES: std::ops::RangeInclusive<usize> = 16..=256;

/// What the cell carries from one position to the next. The memory that it stands for is exp(m) C, exp(m) n.
#[derive(Debug, Clone)]
pub struct State {
    /// C [batch, heads, qk_dim, v_dim]
    pub memory: Var,
    /// n [batch, heads, qk_dim]
    pub normalizer: Var,
    /// m [batch, heads]
    pub stabilizer: Var,
}

impl State {
    /// The empty state, all zero.
    ///
    /// # Errors
    /// An allocation that the device refuses.
    pub fn empty(device: &Device, batch: usize, heads: usize, qk_dim: usize, v_dim: usize) -> Result<Self> {
        let zeros = |sizes: &[usize]| Tensor::zeros(device, Spec::new(sizes, DType::F32)?).map(Var::constant);
        Ok(Self {
            memory: zeros(&[batch, heads, qk_dim, v_dim])?,
            normalizer: zeros(&[batch, heads, qk_dim])?,
            stabilizer: zeros(&[batch, heads])?,
        })
    }
}

/// How the cell is computed.
#[derive(Debug, Clone, Copy)]
pub struct Options {
    /// Positions a chunk, in [`CHUNK_SIZES`]. Changes speed and memory, not results; [`chunk_size_for`] is the rule.
    pub chunk_size: usize,
    /// ε, added to the denominator.
    pub epsilon: f64,
}

impl Default for Options {
    fn default() -> Self {
        Self { chunk_size: 64, epsilon: 1e-6 }
    }
}

/// The chunk size by rule. A chunk costs L·(dqk + dv) operations a position for its products, and dqk·dv / L numbers a
/// position for storing its border state: 64 for small heads, 128 where a state has more than 64 × 128 numbers, and 256
/// where all border states would otherwise be more than 96 MiB.
pub fn chunk_size_for(batch: usize, sequence: usize, heads: usize, qk_dim: usize, v_dim: usize) -> usize {
    const MOST_BYTES: usize = 96 << 20;
    let small = if qk_dim * v_dim > 64 * 128 { 128 } else { 64 };
    let state = (batch * heads).saturating_mul(qk_dim * v_dim).saturating_mul(4);
    let fits = |chunk: usize| state.saturating_mul(sequence.div_ceil(chunk) + 1) <= MOST_BYTES;
    [small, 128].into_iter().find(|&chunk| fits(chunk)).unwrap_or(256)
}

/// The cell from an empty state: h [batch, sequence, heads, v_dim].
///
/// `query` and `key` are [batch, sequence, heads, qk_dim], `value` [batch, sequence, heads, v_dim], and the
/// pre-activations of the gates, soft-capped if the model caps them, [batch, sequence, heads].
///
/// # Errors
/// Shapes or types that do not fit; a chunk size outside [`CHUNK_SIZES`].
pub fn mlstm(
    query: &Var,
    key: &Var,
    value: &Var,
    input_gate: &Var,
    forget_gate: &Var,
    options: Options,
) -> Result<Var> {
    let operation = Mlstm { chunk_size: options.chunk_size, epsilon: options.epsilon, final_state: false };
    apply_one(operation, &[query, key, value, input_gate, forget_gate])
}

/// The cell from a given state: h and the state after the last position. Shapes as for [`mlstm`].
///
/// # Errors
/// As [`mlstm`].
pub fn mlstm_with_state(
    query: &Var,
    key: &Var,
    value: &Var,
    input_gate: &Var,
    forget_gate: &Var,
    before: &State,
    options: Options,
) -> Result<(Var, State)> {
    let operation = Mlstm { chunk_size: options.chunk_size, epsilon: options.epsilon, final_state: true };
    let inputs = [query, key, value, input_gate, forget_gate, &before.memory, &before.normalizer, &before.stabilizer];
    match <[Var; 4]>::try_from(apply(operation, &inputs)?) {
        Ok([h, memory, normalizer, stabilizer]) => Ok((h, State { memory, normalizer, stabilizer })),
        Err(outputs) => Err(Error::shape("mlstm", format!("{} outputs instead of 4", outputs.len()))),
    }
}

/// The operation: inputs query, key, value, input_gate, forget_gate and, or not, memory, normalizer, stabilizer of the
/// initial state; outputs h and, if `final_state`, the three of the final state; auxiliary den [batch, sequence, heads].
#[derive(Debug, Clone, Copy)]
pub struct Mlstm {
    /// Positions a chunk.
    pub chunk_size: usize,
    /// ε, added to the denominator.
    pub epsilon: f64,
    /// Whether the final state is an output.
    pub final_state: bool,
}

/// The sizes of one call.
#[derive(Debug, Clone, Copy)]
struct Sizes {
    batch: usize,
    sequence: usize,
    heads: usize,
    qk_dim: usize,
    v_dim: usize,
    chunk_size: usize,
}

impl Sizes {
    /// Independent recurrences: batch elements times heads.
    fn cells(self) -> usize {
        self.batch * self.heads
    }

    fn chunks(self) -> usize {
        self.sequence.div_ceil(self.chunk_size)
    }

    /// Numbers of one C.
    fn state(self) -> usize {
        self.qk_dim * self.v_dim
    }

    /// s = 1/√dqk.
    fn scale(self) -> f64 {
        1.0 / (self.qk_dim as f64).sqrt()
    }

    fn query(self) -> [usize; 4] {
        [self.batch, self.sequence, self.heads, self.qk_dim]
    }

    fn value(self) -> [usize; 4] {
        [self.batch, self.sequence, self.heads, self.v_dim]
    }

    fn gate(self) -> [usize; 3] {
        [self.batch, self.sequence, self.heads]
    }

    fn memory(self) -> [usize; 4] {
        [self.batch, self.heads, self.qk_dim, self.v_dim]
    }

    fn normalizer(self) -> [usize; 3] {
        [self.batch, self.heads, self.qk_dim]
    }

    fn stabilizer(self) -> [usize; 2] {
        [self.batch, self.heads]
    }
}

impl Mlstm {
    /// The sizes that the shapes of query and value say; everything else is compared with them.
    fn sizes(&self, query: &Shape, value: &Shape) -> Result<Sizes> {
        let (&[batch, sequence, heads, qk_dim], &[.., v_dim]) = (query.sizes(), value.sizes()) else {
            return Err(Error::shape(
                "mlstm",
                format!("query must be [batch, sequence, heads, qk_dim], it is {query:?}, value {value:?}"),
            ));
        };
        Ok(Sizes { batch, sequence, heads, qk_dim, v_dim, chunk_size: self.chunk_size })
    }

    fn sizes_of(&self, inputs: &[&Tensor]) -> Result<Sizes> {
        self.sizes(inputs[0].shape(), inputs[2].shape())
    }

    /// The place of den among the outputs.
    fn den_place(&self) -> usize {
        if self.final_state { 4 } else { 1 }
    }
}

impl Forward for Mlstm {
    fn name(&self) -> &'static str {
        "mlstm"
    }

    fn outputs(&self, inputs: &[Spec]) -> Result<Vec<Spec>> {
        if !matches!(inputs.len(), 5 | 8) {
            return Err(Error::shape(
                "mlstm",
                format!("takes 5 inputs, or 8 with an initial state, got {}", inputs.len()),
            ));
        }
        if !CHUNK_SIZES.contains(&self.chunk_size) {
            return Err(Error::shape(
                "mlstm",
                format!(
                    "chunk_size must be {} to {}, it is {}",
                    CHUNK_SIZES.start(),
                    CHUNK_SIZES.end(),
                    self.chunk_size
                ),
            ));
        }
        let sizes = self.sizes(&inputs[0].shape, &inputs[2].shape)?;
        let expected: [&[usize]; 8] = [
            &sizes.query(),
            &sizes.query(),
            &sizes.value(),
            &sizes.gate(),
            &sizes.gate(),
            &sizes.memory(),
            &sizes.normalizer(),
            &sizes.stabilizer(),
        ];
        let names = ["query", "key", "value", "input_gate", "forget_gate", "memory", "normalizer", "stabilizer"];
        let dtype = inputs[0].dtype;
        for ((spec, expected), name) in inputs.iter().zip(expected).zip(names) {
            if spec.shape.sizes() != expected {
                let shapes: Vec<&Shape> = inputs.iter().map(|spec| &spec.shape).collect();
                return Err(Error::shape(
                    "mlstm",
                    format!("{name} should be {expected:?}, it is {:?}; all inputs: {shapes:?}", spec.shape),
                ));
            }
            if spec.dtype != dtype || !matches!(dtype, DType::F32 | DType::F64) {
                return Err(Error::dtype(
                    "mlstm",
                    format!("all inputs must be f32 or all f64; query is {dtype}, {name} is {}", spec.dtype),
                ));
            }
            if spec.shape.elements() == 0 {
                return Err(Error::shape("mlstm", format!("{name} is empty: {:?}", spec.shape)));
            }
        }
        let mut outputs = vec![Spec::new(&sizes.value(), dtype)?];
        if self.final_state {
            outputs.push(Spec::new(&sizes.memory(), dtype)?);
            outputs.push(Spec::new(&sizes.normalizer(), dtype)?);
            outputs.push(Spec::new(&sizes.stabilizer(), dtype)?);
        }
        outputs.push(Spec::new(&sizes.gate(), dtype)?);
        Ok(outputs)
    }

    fn auxiliary(&self) -> usize {
        1
    }

    fn forward_cpu(&self, inputs: &[&Tensor]) -> Result<Vec<Tensor>> {
        forward_cpu::forward(self, inputs)
    }

    fn forward_gpu(&self, gpu: &Gpu, inputs: &[&Tensor]) -> Result<Vec<Tensor>> {
        gpu::forward(self, gpu, inputs)
    }

    fn definition(&self, inputs: &[Array]) -> Vec<Defined> {
        definition::define(self, inputs)
    }
}

impl Operation for Mlstm {
    fn saves(&self) -> Saves {
        // An initial state is saved where there is one; places beyond the inputs name nothing.
        let outputs: &[usize] = if self.final_state { &[0, 4] } else { &[0, 1] };
        Saves { inputs: &[0, 1, 2, 3, 4, 5, 6, 7], outputs }
    }

    fn backward_cpu(&self, context: &Context) -> Result<Vec<Option<Tensor>>> {
        backward_cpu::backward(self, context)
    }

    fn backward_gpu(&self, gpu: &Gpu, context: &Context) -> Result<Vec<Option<Tensor>>> {
        backward_gpu::backward(self, gpu, context)
    }
}

/// What the backward of either device is given: the saved inputs in their order and the gradients of the outputs.
struct Saved<'a> {
    inputs: Vec<&'a Tensor>,
    h: &'a Tensor,
    den: &'a Tensor,
    /// Of h, memory, normalizer, stabilizer.
    d_outputs: [Option<&'a Tensor>; 4],
}

impl<'a> Saved<'a> {
    fn new(operation: &Mlstm, context: &'a Context<'a>) -> Result<Self> {
        let given = |place: usize| context.d_outputs.get(place).and_then(Option::as_ref);
        Ok(Self {
            inputs: (0..context.input_specs.len()).map(|place| context.input(place)).collect::<Result<_>>()?,
            h: context.output(0)?,
            den: context.output(operation.den_place())?,
            d_outputs: [given(0), given(1), given(2), given(3)],
        })
    }
}
