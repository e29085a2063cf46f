//! The mLSTM, forward.

use gradus_engine::ops::mlstm::{State, mlstm, mlstm_step};
use gradus_engine::tensor::copy_range;
use gradus_engine::{DType, Device, Result, Spec, Tensor, Var};

use super::{Rung, Subject};
use crate::bench::inputs::Rotation;
use crate::bench::kernels::Cell;
use crate::bench::session::Session;
use crate::bench::stopwatch::Launch;

/// The rungs for [8, 512, 4, 64, 128], its sequence divided by `part`: batch, sequence, heads, dqk, dv.
pub fn subject(part: usize) -> Subject {
    let cell = Cell { batch: if part == 1 { 8 } else { 2 }, sequence: 512 / part, heads: 4, qk: 64, v: 128 };
    let rungs = vec![
        Rung {
            name: "step by step".into(),
            lesson: "the state is read and written at every position",
            half: false,
            prepare: Box::new(move |session| steps(session, cell)),
        },
        Rung {
            name: "chunkwise".into(),
            lesson: "matrix products inside chunks of positions; the state is written once a chunk",
            half: false,
            prepare: Box::new(move |session| chunkwise(session, cell, false)),
        },
        Rung {
            name: "chunkwise, f16".into(),
            lesson: "half the bytes of queries, keys and values; on matrix units where the adapter has them",
            half: true,
            prepare: Box::new(move |session| chunkwise(session, cell, true)),
        },
    ];
    Subject { name: "mlstm", sizes: cell.name(), flops: cell.flops(false, false), rungs }
}

fn chunkwise(session: &Session, cell: Cell, half: bool) -> Result<Launch> {
    let inputs = Rotation::new(&session.device, session.is_processor(), &cell.inputs(half))?;
    Ok(Box::new(move || {
        let i = inputs.constants();
        Ok(mlstm(&i[0], &i[1], &i[2], &i[3], &i[4], cell.options(half))?.into_tensor())
    }))
}

/// Every position of its own; the outputs are put together by copies, which the clock does not see.
fn steps(session: &Session, cell: Cell) -> Result<Launch> {
    let Cell { batch, sequence, heads, qk, v } = cell;
    // One set: by the next launch all positions have been read.
    let whole = Rotation::new(&session.device, true, &cell.inputs(false))?;
    let positions = (0..sequence).map(|at| whole.tensors().iter().map(|input| position(input, at)).collect());
    let positions: Vec<Vec<Var>> = positions.collect::<Result<_>>()?;
    let device = session.device.clone();
    Ok(Box::new(move || {
        let mut state = State::empty(&device, batch, heads, qk, v)?;
        let mut all = unfilled(&device, &[batch, sequence, heads, v])?;
        for (at, i) in positions.iter().enumerate() {
            let (h, next) = mlstm_step(&i[0], &i[1], &i[2], &i[3], &i[4], &state, cell.options(false))?;
            state = next;
            for row in 0..batch {
                let first = (row * sequence + at) * heads * v;
                copy_range(&mut all, first, h.tensor(), row * heads * v, heads * v)?;
            }
        }
        Ok(all)
    }))
}

/// Position `at` of [batch, sequence, ..], as [batch, 1, ..].
fn position(input: &Tensor, at: usize) -> Result<Var> {
    let (batch, sequence) = (input.sizes()[0], input.sizes()[1]);
    let width: usize = input.sizes()[2..].iter().product();
    let sizes = [&[batch, 1], &input.sizes()[2..]].concat();
    let mut output = unfilled(&input.device(), &sizes)?;
    for row in 0..batch {
        copy_range(&mut output, row * width, input, (row * sequence + at) * width, width)?;
    }
    Ok(output.into())
}

/// A tensor to copy into.
fn unfilled(device: &Device, sizes: &[usize]) -> Result<Tensor> {
    match device {
        Device::Gpu(gpu) => Tensor::on_gpu(gpu, "mlstm_step", sizes, DType::F32),
        Device::Cpu(_) => Tensor::zeros(device, Spec::new(sizes, DType::F32)?),
    }
}
