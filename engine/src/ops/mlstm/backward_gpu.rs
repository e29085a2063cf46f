//! The backward on a GPU: gates and states again, then what each position needs, the states' gradients from the last chunk
//! to the first, the gradients of query, key and value in tiles, and from them those of the gates.

use gradus_shaders::mlstm as shaders;

use super::gpu::{Call, FINAL_GRADIENT_GIVEN, STABILIZER_GRADIENT_GIVEN, STATE_GIVEN};
use super::{Mlstm, Saved, optional, units};
use crate::device::Gpu;
use crate::error::Result;
use crate::operation::Context;
use crate::ops::cast::convert;
use crate::tensor::Tensor;

/// Positions a workgroup of the kernels that compute one dot product for each.
pub(super) const DOTS: usize = 16;
/// Planes of `rows`, as in mlstm/layout.wgsl.
const ROW_PLANES: usize = 7;

pub(super) fn backward(operation: &Mlstm, gpu: &Gpu, context: &Context) -> Result<Vec<Option<Tensor>>> {
    let saved = Saved::new(operation, context)?;
    let inputs = saved.inputs.as_slice();
    let call = Call::new(gpu, operation, inputs)?;
    let sizes = call.sizes;
    let (query, key, value, input_gate, forget_gate) = (inputs[0], inputs[1], inputs[2], inputs[3], inputs[4]);
    let (cells, positions) = (sizes.cells(), sizes.cells() * sizes.sequence);
    let zeros;
    let [d_h, d_memory, d_normalizer, d_stabilizer] = saved.d_outputs;
    let d_h = match d_h {
        Some(given) => given,
        None => {
            zeros = call.zeros(&sizes.value())?;
            &zeros
        }
    };

    let (gates, states) = call.gates_and_states(inputs)?;
    let final_given = d_memory.is_some() || d_normalizer.is_some();
    let d_states = final_state_gradient(&call, d_memory, d_normalizer)?;
    let given = Given {
        inputs: [query, key, value, input_gate],
        outputs: [d_h, saved.h, saved.den],
        gates: &gates,
        states: &states,
        d_states: &d_states,
        flags: if final_given { STATE_GIVEN } else { 0 },
    };
    let Made { rows, d_query, d_key, d_value, d_input_gate } =
        if call.units { units::backward(&call, given)? } else { plain(&call, given)? };
    let d_forget_gate = call.tensor(&sizes.gate())?;

    let borders = cells * (sizes.chunks() + 1);
    let (inner, d_initial) = (call.tensor(&[2 * borders])?, call.tensor(&sizes.stabilizer())?);
    let flops = 2.0 * (borders * sizes.state()) as f64;
    call.dispatch(&shaders::INNER, &[], 0, &[&states, &d_states, &inner], borders, flops)?;
    let sigmoid = operation.input_gate.is_sigmoid();
    let mut flags = if final_given && !sigmoid { FINAL_GRADIENT_GIVEN } else { 0 };
    if d_stabilizer.is_some() && !sigmoid {
        flags |= STABILIZER_GRADIENT_GIVEN;
    }
    // Where no gradient of the final stabiliser is given, the flag says not to read it.
    let d_final = d_stabilizer.unwrap_or(&inner);
    let buffers = [forget_gate, &rows, &inner, d_final, &d_forget_gate, &d_input_gate, &d_initial];
    let flops = (positions * (sizes.chunk_size + 30)) as f64;
    call.dispatch(&shaders::FORGET, &[], flags, &buffers, cells * sizes.chunks(), flops)?;

    let mut gradients = vec![d_query, d_key, d_value, d_input_gate, d_forget_gate];
    let (state, reset) = optional(inputs);
    if state.is_some() {
        let (memory, normalizer) = (call.tensor(&sizes.memory())?, call.tensor(&sizes.normalizer())?);
        call.copy_border(&d_states, 0, [Some(&memory), Some(&normalizer), None], false)?;
        let stabilizer = if sigmoid { call.zeros(&sizes.stabilizer())? } else { d_initial };
        gradients.extend([memory, normalizer, stabilizer]);
    }
    // Resets have no gradient.
    Ok(gradients.into_iter().map(Some).chain(reset.map(|_| None)).collect())
}

/// What the gradients of query, key, value and input gate are made of.
#[derive(Clone, Copy)]
pub(super) struct Given<'a> {
    /// Query, key, value, input gate.
    pub inputs: [&'a Tensor; 4],
    /// The gradient of h, h, den.
    pub outputs: [&'a Tensor; 3],
    pub gates: &'a Tensor,
    pub states: &'a Tensor,
    /// Room, in which the final state's gradient is if there is one.
    pub d_states: &'a Tensor,
    pub flags: u32,
}

/// These gradients, and what the forget gate's is made of.
pub(super) struct Made {
    pub rows: Tensor,
    pub d_query: Tensor,
    pub d_key: Tensor,
    pub d_value: Tensor,
    pub d_input_gate: Tensor,
}

/// Without matrix units.
fn plain(call: &Call, given: Given) -> Result<Made> {
    let Given { inputs: [query, key, value, input_gate], outputs: [d_h, h, den], gates, states, d_states, flags } =
        given;
    let sizes = call.sizes;
    let (qk_dim, v_dim, positions) = (sizes.qk_dim, sizes.v_dim, sizes.cells() * sizes.sequence);
    let rows = call.tensor(&[ROW_PLANES * positions])?;
    let (workgroups, flops) = (positions.div_ceil(DOTS), 2.0 * (positions * v_dim) as f64);
    let buffers = [d_h, h, den, gates, states, &rows];
    call.dispatch(&shaders::ROWS, &call.output_variant(), 0, &buffers, workgroups, flops)?;
    let buffers = [query, d_h, gates, &rows, states, d_states];
    let (side, tiles) = call.state_tiles();
    call.dispatch(&shaders::D_STATES, &[("SIDE", side)], flags, &buffers, tiles, call.state_flops())?;

    // In f32 whatever the inputs are: the gates' gradients are differences of their products.
    let (d_query, d_key) = (call.tensor(&sizes.query())?, call.tensor(&sizes.query())?);
    let d_value = call.element_tensor(&sizes.value())?;
    let buffers = [d_h, value, key, gates, &rows, states, &d_query];
    call.in_tiles(&shaders::D_QUERY, &[], &buffers, [v_dim, qk_dim])?;
    let buffers = [value, d_h, query, gates, &rows, d_states, &d_key];
    call.in_tiles(&shaders::D_KEY, &[], &buffers, [v_dim, qk_dim])?;
    let buffers = [key, query, d_h, gates, &rows, d_states, &d_value];
    call.in_tiles(&shaders::D_VALUE, &[], &buffers, [qk_dim, v_dim])?;

    let d_input_gate = call.tensor(&sizes.gate())?;
    let buffers = [query, key, &d_query, &d_key, input_gate, &rows, &d_input_gate];
    let (workgroups, flops) = (positions.div_ceil(DOTS), 4.0 * (positions * qk_dim) as f64);
    call.dispatch(&shaders::GATE_TERMS, &call.gate_variant(), 0, &buffers, workgroups, flops)?;
    let (d_query, d_key) = (convert(&d_query, call.element)?, convert(&d_key, call.element)?);
    Ok(Made { rows, d_query, d_key, d_value, d_input_gate })
}

/// Room for the states' gradients, that of the final state filled in if one is given.
fn final_state_gradient(call: &Call, memory: Option<&Tensor>, normalizer: Option<&Tensor>) -> Result<Tensor> {
    let d_states = call.borders()?;
    if memory.is_none() && normalizer.is_none() {
        return Ok(d_states);
    }
    let or_zeros = |given: Option<&Tensor>, sizes: &[usize]| given.cloned().map_or_else(|| call.zeros(sizes), Ok);
    let memory = or_zeros(memory, &call.sizes.memory())?;
    let normalizer = or_zeros(normalizer, &call.sizes.normalizer())?;
    call.copy_border(&d_states, call.sizes.chunks(), [Some(&memory), Some(&normalizer), None], true)?;
    Ok(d_states)
}
