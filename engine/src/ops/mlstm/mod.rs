//! The mLSTM cell, chunkwise, with the exponential or the sigmoid input gate, over one or several documents.
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
//! The sigmoid input gate (the same paper's mLSTMsig) has ln σ(i) for i, and every m is 0: no exponent is above 0. Its output
//! is either num / (max(|den|, 1) + ε), which is the formula above, or num itself. n is carried either way.
//!
//! At a reset, the first position of a document, the state before is forgotten as if its forget gate were 0: lf = −∞,
//! m_t = i_t. In place of −∞ stands −1e30, whose exponential is 0 exactly.
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
//! di = k·dk, times σ(−i) for the sigmoid gate      dm_0 = ⟨C⁺_0, dC⁺_0⟩
//! df_t = σ(−f_t) E_t      E_t = Σ_{j<t≤u} S_uj (X⁺_u·V⁺_j) + what crosses t from, to or between the states
//! ```
//!
//! With r_u = q_u·dq_u − k_u·dk_u, E_t = Σ_{u≥t} r_u + ⟨C⁺_N, dC⁺_N⟩ too, but there all that lies behind t cancels, and rounding
//! of it remains. The CPU sums what crosses. The GPU sums r inside a chunk and a document only, between borders where E is
//! known: ⟨C⁺, dC⁺⟩ at a chunk's, 0 at a document's.
//!
//! The final state that is handed out is divided by exp(m_N). A loss that looks at more than exp(m) C and exp(m) n thus
//! also moves along m_N, whose remaining gradient δ = dm_N − ⟨C⁺_N, dC⁺_N⟩ goes to the gates that made the maximum. With the
//! sigmoid gate m is no result: what is given as m_0 or dm_N is not looked at, and dm_0 is 0.
//!
//! Saved are the inputs, h and den; the states at the chunk borders are computed again in the backward.

mod backward_cpu;
mod backward_gpu;
mod calls;
pub(crate) mod cases;
mod definition;
mod forward_cpu;
mod gates_cpu;
mod gpu;
mod step;
#[cfg(test)]
mod tests;
mod units;

pub use calls::{Extras, Inputs, State, mlstm, mlstm_with, mlstm_with_state};
pub use step::{mlstm_step, mlstm_step_with};

use crate::definition::{Array, Defined};
use crate::device::Gpu;
use crate::error::{Error, Result};
use crate::operation::{Context, Forward, Operation, Saves};
use crate::tensor::{Spec, Tensor};
use crate::{DType, Shape};

/// The smallest and the largest chunk; every size between is allowed.
pub const CHUNK_SIZES: std::ops::RangeInclusive<usize> = 16..=256;

/// The function of the input gate's pre-activation.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum InputGate {
    /// exp(i), with the stabiliser m.
    #[default]
    Exponential,
    /// σ(i), without a stabiliser.
    Sigmoid {
        /// Whether h is divided by max(|den|, 1) + ε.
        normalize: bool,
    },
}

impl InputGate {
    fn is_sigmoid(self) -> bool {
        self != Self::Exponential
    }

    /// Whether h is divided by D.
    fn normalizes(self) -> bool {
        self != Self::Sigmoid { normalize: false }
    }
}

/// How the cell is computed.
#[derive(Debug, Clone, Copy)]
pub struct Options {
    /// Positions a chunk, in [`CHUNK_SIZES`]. Changes speed and memory, not results; [`chunk_size_for`] is the rule.
    pub chunk_size: usize,
    /// ε, added to the denominator.
    pub epsilon: f64,
    /// The input gate's function.
    pub input_gate: InputGate,
}

impl Default for Options {
    fn default() -> Self {
        Self { chunk_size: 64, epsilon: 1e-6, input_gate: InputGate::Exponential }
    }
}

/// The chunk size by rule, for query, key and value of this type. A chunk of L positions costs L·(dqk + dv) operations a
/// position for its products, and dqk·dv / L numbers a position for the state at its border. The least size is 64, and 128
/// for heads of f16 with more than 64 × 128 numbers in a state, whose products cost the least; from there, the first size with
/// which the states are no more numbers than query, key, value and h, 2·(dqk + dv) a position.
pub fn chunk_size_for(qk_dim: usize, v_dim: usize, dtype: DType) -> usize {
    let state = qk_dim.saturating_mul(v_dim);
    let least = if dtype == DType::F16 && state > 64 * 128 { 128 } else { 64 };
    let fits = |chunk: usize| state <= chunk.saturating_mul(2 * (qk_dim + v_dim));
    [least, 128].into_iter().find(|&chunk| fits(chunk)).unwrap_or(256)
}

/// The operation: inputs query, key, value, input_gate, forget_gate, then, or not, memory, normalizer, stabilizer of the
/// initial state, then, or not, reset (u32 [batch, sequence]); outputs h and, if `final_state`, the three of the final
/// state; auxiliary den [batch, sequence, heads].
#[derive(Debug, Clone, Copy)]
pub struct Mlstm {
    /// Positions a chunk.
    pub chunk_size: usize,
    /// ε, added to the denominator.
    pub epsilon: f64,
    /// The input gate's function.
    pub input_gate: InputGate,
    /// Whether the final state is an output.
    pub final_state: bool,
}

/// The type of all but query, key and value where these are of the given one: with f16 that is f32. (h is about 1e-4 at a
/// model's start, where f16 ends.)
fn full(dtype: DType) -> DType {
    if dtype == DType::F16 { DType::F32 } else { dtype }
}

/// The initial state and the resets, where they are given, among the inputs or what belongs to them.
fn optional<T>(inputs: &[T]) -> (Option<[&T; 3]>, Option<&T>) {
    match inputs.get(5..).unwrap_or_default() {
        [memory, normalizer, stabilizer, rest @ ..] => (Some([memory, normalizer, stabilizer]), rest.first()),
        rest => (None, rest.first()),
    }
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

    fn reset(self) -> [usize; 2] {
        [self.batch, self.sequence]
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

    /// Compares every input with what the sizes say it should be.
    fn expect_inputs(&self, sizes: Sizes, inputs: &[Spec]) -> Result<()> {
        let floats: [(&str, &[usize]); 8] = [
            ("query", &sizes.query()),
            ("key", &sizes.query()),
            ("value", &sizes.value()),
            ("input_gate", &sizes.gate()),
            ("forget_gate", &sizes.gate()),
            ("memory", &sizes.memory()),
            ("normalizer", &sizes.normalizer()),
            ("stabilizer", &sizes.stabilizer()),
        ];
        let (dtype, full) = (inputs[0].dtype, full(inputs[0].dtype));
        let (state, reset) = optional(inputs);
        let floats = floats.into_iter().zip(&inputs[..if state.is_some() { 8 } else { 5 }]);
        let reset = reset.map(|spec| ("reset", spec, sizes.reset().to_vec(), DType::U32));
        let expected = floats
            .enumerate()
            .map(|(place, ((name, sizes), spec))| (name, spec, sizes.to_vec(), if place < 3 { dtype } else { full }));
        for (name, spec, expected, dtype) in expected.chain(reset) {
            if spec.shape.sizes() != expected {
                let shapes: Vec<&Shape> = inputs.iter().map(|spec| &spec.shape).collect();
                return Err(Error::shape(
                    "mlstm",
                    format!("{name} should be {expected:?}, it is {:?}; all inputs: {shapes:?}", spec.shape),
                ));
            }
            if spec.dtype != dtype || !matches!(full, DType::F32 | DType::F64) {
                let found = format!("query is {}, {name} is {}", inputs[0].dtype, spec.dtype);
                let message = format!(
                    "inputs must be all f32 or all f64, or query, key and value f16 and all else f32, and reset u32; {found}"
                );
                return Err(Error::dtype("mlstm", message));
            }
            if spec.shape.elements() == 0 {
                return Err(Error::shape("mlstm", format!("{name} is empty: {:?}", spec.shape)));
            }
        }
        Ok(())
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
        if !matches!(inputs.len(), 5 | 6 | 8 | 9) {
            let message =
                format!("takes 5 inputs, 3 more with an initial state, 1 more with resets, got {}", inputs.len());
            return Err(Error::shape("mlstm", message));
        }
        if !CHUNK_SIZES.contains(&self.chunk_size) {
            let (least, most) = (*CHUNK_SIZES.start(), *CHUNK_SIZES.end());
            let (found, nearest) = (self.chunk_size, self.chunk_size.clamp(least, most));
            let message =
                format!("chunk_size is {found}; it must be {least} to {most}, and the nearest that works is {nearest}");
            return Err(Error::shape("mlstm", message));
        }
        let sizes = self.sizes(&inputs[0].shape, &inputs[2].shape)?;
        self.expect_inputs(sizes, inputs)?;
        let dtype = full(inputs[0].dtype);
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
        // An initial state and resets are saved where they are given; places beyond the inputs name nothing.
        let outputs: &[usize] = if self.final_state { &[0, 4] } else { &[0, 1] };
        Saves { inputs: &[0, 1, 2, 3, 4, 5, 6, 7, 8], outputs }
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
