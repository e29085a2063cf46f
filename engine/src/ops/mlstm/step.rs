//! One position, for generation: each number of the state is read once and written once.

use super::forward_cpu::{cpu_of, unfilled};
use super::{Mlstm, Options, Sizes, State, gpu};
use crate::device::cpu::float::{Float, vectorized};
use crate::device::cpu::threads::for_items;
use crate::error::{Error, Result};
use crate::operation::Forward;
use crate::tape::Var;
use crate::tensor::Tensor;
use crate::{DType, Device};

/// One position: h [batch, 1, heads, v_dim] and the state after it. Shapes as for [`super::mlstm`] with a sequence of 1.
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
    let inputs = [query, key, value, input_gate, forget_gate, &before.memory, &before.normalizer, &before.stabilizer]
        .map(Var::tensor);
    let operation = Mlstm { chunk_size: options.chunk_size, epsilon: options.epsilon, final_state: true };
    operation.outputs(&inputs.map(Tensor::spec))?;
    let device = query.tensor().device();
    if let Some(other) = inputs.iter().find(|tensor| tensor.device() != device) {
        return Err(Error::device("mlstm_step", format!("tensors are on {device:?} and on {:?}", other.device())));
    }
    let sizes = operation.sizes_of(&inputs)?;
    if sizes.sequence != 1 {
        return Err(Error::shape("mlstm_step", format!("takes one position, query is {:?}", query.tensor().shape())));
    }
    let [h, memory, normalizer, stabilizer] = match (&device, query.tensor().dtype()) {
        (Device::Gpu(gpu), _) => gpu::step(gpu, sizes, options.epsilon, inputs),
        (_, DType::F64) => on_cpu::<f64>(sizes, options.epsilon, inputs),
        _ => on_cpu::<f32>(sizes, options.epsilon, inputs),
    }?
    .map(Var::constant);
    Ok((h, State { memory, normalizer, stabilizer }))
}

/// Numbers of a state below which one thread is faster.
const WORTH_THREADS: usize = 1 << 16;

fn on_cpu<T: Float>(sizes: Sizes, epsilon: f64, inputs: [&Tensor; 8]) -> Result<[Tensor; 4]> {
    let mut slices = [[].as_slice(); 8];
    for (slice, tensor) in slices.iter_mut().zip(inputs) {
        *slice = tensor.cpu::<T>("mlstm_step")?;
    }
    let [query, key, value, input_gate, forget_gate, memory, normalizer, stabilizer] = slices;
    let (qk_dim, v_dim) = (sizes.qk_dim, sizes.v_dim);
    let (scale, epsilon) = (T::from_f64(sizes.scale()), T::from_f64(epsilon));
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
        let (query, key) = (&query[cell * qk_dim..][..qk_dim], &key[cell * qk_dim..][..qk_dim]);
        let (value, normalizer) = (&value[cell * v_dim..][..v_dim], &normalizer[cell * qk_dim..][..qk_dim]);
        let memory = &memory[cell * sizes.state()..][..sizes.state()];
        let kept = forget_gate[cell].log_sigmoid() + stabilizer[cell];
        let m = kept.max(input_gate[cell]);
        let (forget, input) = ((kept - m).exp(), (input_gate[cell] - m).exp());
        *next_stabilizer = m;
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
                let divisor = den.abs().max((-m).exp()) + epsilon;
                for h in h.iter_mut() {
                    *h = *h / divisor;
                }
            },
        );
    });
    Ok(outputs)
}
