//! The calls: from an empty state, from a given one, over several documents.

use super::{Mlstm, Options};
use crate::DType;
use crate::device::Device;
use crate::error::{Error, Result};
use crate::tape::{Var, apply, apply_one};
use crate::tensor::{Spec, Tensor};

/// What the cell carries from one position to the next. The memory that it stands for is exp(m) C, exp(m) n.
#[derive(Debug, Clone)]
pub struct State {
    /// C [batch, heads, qk_dim, v_dim]
    pub memory: Var,
    /// n [batch, heads, qk_dim]
    pub normalizer: Var,
    /// m [batch, heads]; with the sigmoid input gate 0, whatever is given.
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

/// What every call is given, all f32 (or, on the CPU, all f64); on a GPU that has f16, query, key and value may be f16. No size may be 0; beyond that every size is allowed.
#[derive(Debug, Clone, Copy)]
pub struct Inputs<'a> {
    /// [batch, sequence, heads, qk_dim]
    pub query: &'a Var,
    /// [batch, sequence, heads, qk_dim]
    pub key: &'a Var,
    /// [batch, sequence, heads, v_dim]
    pub value: &'a Var,
    /// The input gate's pre-activation, soft-capped if the model caps it: [batch, sequence, heads].
    pub input_gate: &'a Var,
    /// The forget gate's pre-activation, likewise: [batch, sequence, heads].
    pub forget_gate: &'a Var,
}

impl<'a> Inputs<'a> {
    pub(super) fn list(self) -> [&'a Var; 5] {
        [self.query, self.key, self.value, self.input_gate, self.forget_gate]
    }
}

/// What a call may be given besides.
#[derive(Debug, Clone, Copy, Default)]
pub struct Extras<'a> {
    /// The state before the first position; the empty one if `None`.
    pub before: Option<&'a State>,
    /// u32 [batch, sequence], not 0 at the first position of each document: there the state before is forgotten exactly, at
    /// position 0 the one in `before`. Nothing passes such a border, forwards or backwards.
    pub reset: Option<&'a Var>,
    /// Whether the state after the last position is wanted.
    pub final_state: bool,
}

/// The cell: h [batch, sequence, heads, v_dim] and, if it is wanted, the state after the last position.
///
/// # Errors
/// Shapes or types that do not fit; a size of 0; a chunk size outside [`super::CHUNK_SIZES`]; on a GPU, more numbers in an
/// intermediate result than 32-bit indices reach.
pub fn mlstm_with(inputs: Inputs, extras: Extras, options: Options) -> Result<(Var, Option<State>)> {
    let operation = options.operation(extras.final_state);
    let state = extras.before.into_iter().flat_map(|state| [&state.memory, &state.normalizer, &state.stabilizer]);
    let inputs: Vec<&Var> = inputs.list().into_iter().chain(state).chain(extras.reset).collect();
    if extras.final_state {
        let (h, state) = h_and_state(operation, &inputs)?;
        return Ok((h, Some(state)));
    }
    Ok((apply_one(operation, &inputs)?, None))
}

/// The cell from an empty state: h [batch, sequence, heads, v_dim]. Shapes as in [`Inputs`].
///
/// # Errors
/// As [`mlstm_with`].
pub fn mlstm(
    query: &Var,
    key: &Var,
    value: &Var,
    input_gate: &Var,
    forget_gate: &Var,
    options: Options,
) -> Result<Var> {
    apply_one(options.operation(false), &[query, key, value, input_gate, forget_gate])
}

/// The cell from a given state: h and the state after the last position. Shapes as in [`Inputs`].
///
/// # Errors
/// As [`mlstm_with`].
pub fn mlstm_with_state(
    query: &Var,
    key: &Var,
    value: &Var,
    input_gate: &Var,
    forget_gate: &Var,
    before: &State,
    options: Options,
) -> Result<(Var, State)> {
    let State { memory, normalizer, stabilizer } = before;
    let inputs = [query, key, value, input_gate, forget_gate, memory, normalizer, stabilizer];
    h_and_state(options.operation(true), &inputs)
}

fn h_and_state(operation: Mlstm, inputs: &[&Var]) -> Result<(Var, State)> {
    match <[Var; 4]>::try_from(apply(operation, inputs)?) {
        Ok([h, memory, normalizer, stabilizer]) => Ok((h, State { memory, normalizer, stabilizer })),
        Err(outputs) => Err(Error::shape("mlstm", format!("{} outputs instead of 4", outputs.len()))),
    }
}

impl Options {
    pub(super) fn operation(self, final_state: bool) -> Mlstm {
        let Self { chunk_size, epsilon, input_gate } = self;
        Mlstm { chunk_size, epsilon, input_gate, final_state }
    }
}
