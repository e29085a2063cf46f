//! One position, for generation: each number of the state is read once and written once.

use super::forward_cpu::{Slices, cpu_of, unfilled};
use super::gates_cpu::Place;
use super::{Inputs, Mlstm, Options, State, gpu};
use crate::device::cpu::float::{Float, vectorized};
use crate::device::cpu::threads::for_items;
use crate::error::{Error, Result};
use crate::operation::Forward;
use crate::tape::Var;
use crate::tensor::Tensor;
use crate::{DType, Device};

/// One position: h [batch, 1, heads, v_dim] and the state after it. Shapes as in [`Inputs`] with a sequence of 1.
/// Nothing is recorded: no gradient flows through it.
///
/// # Errors
/// Shapes, types or devices that do not fit, or a sequence that is not 1.
pub fn mlstm_step(
    query: &Var,
    key: &Var,
    value: &Var,
    input_gate: &Var,
    forget_gate: &Var,
    before: &State,
    options: Options,
) -> Result<(Var, State)> {
    mlstm_step_with(Inputs { query, key, value, input_gate, forget_gate }, before, None, options)
}

/// [`mlstm_step`] with resets, u32 [batch, 1]: where one is not 0, a document begins and `before` is forgotten.
///
/// # Errors
/// As [`mlstm_step`].
pub fn mlstm_step_with(inputs: Inputs, before: &State, reset: Option<&Var>, options: Options) -> Result<(Var, State)> {
    let state = [&before.memory, &before.normalizer, &before.stabilizer];
    let inputs: Vec<&Tensor> = inputs.list().into_iter().chain(state).chain(reset).map(Var::tensor).collect();
    let operation = options.operation(true);
    operation.outputs(&inputs.iter().map(|tensor| tensor.spec()).collect::<Vec<_>>())?;
    let device = inputs[0].device();
    if let Some(other) = inputs.iter().find(|tensor| tensor.device() != device) {
        return Err(Error::device("mlstm_step", format!("tensors are on {device:?} and on {:?}", other.device())));
    }
    let sizes = operation.sizes_of(&inputs)?;
    if sizes.sequence != 1 {
        return Err(Error::shape("mlstm_step", format!("takes one position, query is {:?}", inputs[0].shape())));
    }
    let [h, memory, normalizer, stabilizer] = match (&device, inputs[0].dtype()) {
        (Device::Gpu(gpu), _) => gpu::step(gpu, &operation, &inputs),
        (_, DType::F64) => on_cpu::<f64>(&operation, &inputs),
        _ => on_cpu::<f32>(&operation, &inputs),
    }?
    .map(Var::constant);
    Ok((h, State { memory, normalizer, stabilizer }))
}

/// Numbers of a state below which one thread is faster.
const WORTH_THREADS: usize = 1 << 16;

fn on_cpu<T: Float>(operation: &Mlstm, inputs: &[&Tensor]) -> Result<[Tensor; 4]> {
    let (sizes, slices) = (operation.sizes_of(inputs)?, Slices::<T>::new(inputs)?);
    let Some([memory, normalizer, _]) = slices.initial else {
        return Err(Error::shape("mlstm_step", "takes the state before the position"));
    };
    let (qk_dim, v_dim, scale) = (sizes.qk_dim, sizes.v_dim, T::from_f64(sizes.scale()));
    let cpu = cpu_of(inputs[0])?;
    let mut outputs = [
        unfilled::<T>(&cpu, &sizes.value())?,
        unfilled::<T>(&cpu, &sizes.memory())?,
        unfilled::<T>(&cpu, &sizes.normalizer())?,
        unfilled::<T>(&cpu, &sizes.stabilizer())?,
    ];
    let [h, next_memory, next_normalizer, next_stabilizer] = &mut outputs;
    // With one position, rows of [batch, 1, heads, ...] and of [batch, heads, ...] are in the same order.
    let cells: Vec<_> = h
        .cpu_mut::<T>("mlstm_step")?
        .chunks_mut(v_dim)
        .zip(next_memory.cpu_mut::<T>("mlstm_step")?.chunks_mut(sizes.state()))
        .zip(next_normalizer.cpu_mut::<T>("mlstm_step")?.chunks_mut(qk_dim))
        .zip(next_stabilizer.cpu_mut::<T>("mlstm_step")?)
        .collect();
    let worth_threads = sizes.cells() * sizes.state() > WORTH_THREADS;
    for_items(cells, worth_threads, |cell, (((h, next_memory), next_normalizer), next_stabilizer)| {
        let (query, key) = (&slices.query[cell * qk_dim..][..qk_dim], &slices.key[cell * qk_dim..][..qk_dim]);
        let (value, normalizer) = (&slices.value[cell * v_dim..][..v_dim], &normalizer[cell * qk_dim..][..qk_dim]);
        let memory = &memory[cell * sizes.state()..][..sizes.state()];
        let gates = slices.gates(operation, Place::new(sizes, cell), cell);
        let chunk = gates.chunk(0, 1, T::ONE);
        let (forget, input) = (chunk.carry, chunk.write[0]);
        *next_stabilizer = gates.after(1);
        h.fill(T::ZERO);
        let mut den = T::ZERO;
        vectorized(
            #[inline(always)]
            || {
                for (a, (row, next)) in memory.chunks(v_dim).zip(next_memory.chunks_mut(v_dim)).enumerate() {
                    let (k, q) = (input * key[a], scale * query[a]);
                    next_normalizer[a] = forget * normalizer[a] + k;
                    den += q * next_normalizer[a];
                    for (((next, h), &c), &v) in next.iter_mut().zip(h.iter_mut()).zip(row).zip(value) {
                        *next = forget * c + k * v;
                        *h += q * *next;
                    }
                }
                let (inverse, _) = gates.inverse(0, den);
                for h in h.iter_mut() {
                    *h *= inverse;
                }
            },
        );
    });
    Ok(outputs)
}
