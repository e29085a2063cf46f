//! The rows: each operation with what it is counted to do and what records one launch of it.
//!
//! FLOPs: a product of [m, k] and [k, n] has 2·m·k·n. Causal attention over S positions has 2·B·H·S²·D in the forward, two
//! products of which half is masked, and 3.5 times that with the backward, which has five. The mLSTM in chunks of L
//! positions has, a position and head, L·(dqk + dv) inside the chunk and 4·dqk·dv from state to state in the forward; the
//! backward L·(3·dqk + 2·dv) and 10·dqk·dv, which counts what it computes again, as that of attention does.
//!
//! Bytes: each input and output of the forward once, and of the backward likewise. Rows that end with f16 are those of mixed
//! precision: f16 for the operands of products and their gradients, f32 for gates, the mLSTM's output, a linear layer's weight
//! and its gradient, and the squares' results.

use gradus_engine::ops::arithmetic::add;
use gradus_engine::ops::attention::attention;
use gradus_engine::ops::matmul::{MatMul, linear_in, matmul};
use gradus_engine::ops::mlstm::{Options, State, chunk_size_for, mlstm, mlstm_step};
use gradus_engine::ops::norm::rms_norm;
use gradus_engine::ops::softmax::softmax;
use gradus_engine::ops::unary::scale;
use gradus_engine::tape::apply_one;
use gradus_engine::{DType, Precision, Result, Tape, Tensor, Var};
use gradus_models::Model;
use gradus_models::configuration::{ModelConfiguration, presets};

use super::{Bound, Row};
use crate::bench::inputs::{Input, Rotation, floats};
use crate::bench::session::Session;
use crate::bench::stopwatch::{Launch, Prepare};
use crate::configuration::Configuration;
use crate::training::step;

/// On a processor lengths are this part of a GPU's.
pub const PROCESSOR_PART: usize = 16;

const FLOAT: f64 = 4.0;
/// Words of the model whose optimizer is timed: with so many xlstm-small has 34 million parameters.
const VOCABULARY: usize = 8192;

/// All rows, with lengths divided by `part`: 1, or [`PROCESSOR_PART`] with fewer and narrower sequences too.
/// With `half` those of mixed precision too.
pub fn list(part: usize, half: bool) -> Vec<Row> {
    let is_small = part > 1;
    let (batch, narrower) = if is_small { (1, 4) } else { (8, 1) };
    let [tokens, width, wide] = [8192 / part, 512 / part, 2048 / part];
    let cell =
        |sequence: usize, qk: usize, v: usize| Cell { batch, sequence, heads: 4, qk: qk / narrower, v: v / narrower };
    let [short, long] = [cell(2048 / part, 64, 128), cell(8192 / part, 128, 256)];
    let mut rows = vec![
        copy("copy", vec![(96 << 20) / (part * part)], Bound::Memory),
        copy("copy_rows", vec![tokens, 1024 / part], Bound::Rows),
        square("matmul_1024", 1024 / part, false),
        square("matmul_2048", 2048 / part, false),
        square("matmul_4096", 4096 / part, false),
        linear_layer("linear", [tokens, width, wide], false),
        weight_gradient("linear_weight_gradient", [tokens, width, wide], false),
        addition((64 << 20) / (part * part)),
        softmax_rows("softmax", tokens, 1024 / part, false),
        softmax_rows("softmax_backward", tokens, 1024 / part, true),
        norm_rows("rms_norm", tokens, 1024 / part, false),
        norm_rows("rms_norm_backward", tokens, 1024 / part, true),
        causal("attention_1024", [batch, 1024 / part], false, false),
        causal("attention_1024_backward", [batch, 1024 / part], true, false),
        causal("attention_4096", [batch, 4096 / part], false, false),
        causal("attention_4096_backward", [batch, 4096 / part], true, false),
        attention_step(batch, 4096 / part),
        recurrence("mlstm_2048", short, false, false),
        recurrence("mlstm_2048_backward", short, true, false),
        recurrence("mlstm_8192", long, false, false),
        recurrence("mlstm_8192_backward", long, true, false),
        recurrent_step(long),
        optimizer(if is_small { "xlstm-tiny" } else { "xlstm-small" }),
    ];
    if half {
        rows.extend([
            square("matmul_1024_f16", 1024 / part, true),
            square("matmul_2048_f16", 2048 / part, true),
            square("matmul_4096_f16", 4096 / part, true),
            linear_layer("linear_f16", [tokens, width, wide], true),
            weight_gradient("linear_weight_gradient_f16", [tokens, width, wide], true),
            causal("attention_1024_f16", [batch, 1024 / part], false, true),
            causal("attention_1024_backward_f16", [batch, 1024 / part], true, true),
            causal("attention_4096_f16", [batch, 4096 / part], false, true),
            causal("attention_4096_backward_f16", [batch, 4096 / part], true, true),
            recurrence("mlstm_2048_f16", short, false, true),
            recurrence("mlstm_2048_backward_f16", short, true, true),
            recurrence("mlstm_8192_f16", long, false, true),
            recurrence("mlstm_8192_backward_f16", long, true, true),
        ]);
    }
    rows
}

/// A row that memory bounds: no FLOPs are counted.
fn in_memory(name: &'static str, sizes: String, floats: usize, prepare: Prepare) -> Row {
    let bytes = FLOAT * floats as f64;
    Row { name, sizes, flops: 0.0, bytes, bound: Bound::Memory, is_ceiling: false, prepare }
}

/// What a row reads and writes: numbers that are f16 in mixed precision, and those that are f32 always.
#[derive(Clone, Copy)]
struct Moved {
    narrow: usize,
    wide: usize,
    half: bool,
}

/// A row that arithmetic bounds.
fn in_arithmetic(name: &'static str, sizes: String, flops: f64, moved: Moved, prepare: Prepare) -> Row {
    let (bound, narrow) = if moved.half { (Bound::HalfArithmetic, FLOAT / 2.0) } else { (Bound::Arithmetic, FLOAT) };
    let bytes = narrow * moved.narrow as f64 + FLOAT * moved.wide as f64;
    Row { name, sizes, flops, bytes, bound, is_ceiling: false, prepare }
}

/// Records the forward alone, or, given the gradient of the output, forward and backward.
fn call(
    mut inputs: Vec<Input>,
    d_output: Option<Input>,
    run: impl Fn(&[Var]) -> Result<Var> + Copy + 'static,
) -> Prepare {
    let with_backward = d_output.is_some();
    inputs.extend(d_output);
    Box::new(move |session| {
        let inputs = Rotation::new(&session.device, session.is_processor(), &inputs)?;
        Ok(if with_backward {
            Box::new(move || forward_and_backward(inputs.tensors(), run))
        } else {
            Box::new(move || Ok(run(&inputs.constants())?.into_tensor()))
        })
    })
}

/// The last of `tensors` is the gradient of the output.
fn forward_and_backward(tensors: &[Tensor], run: impl Fn(&[Var]) -> Result<Var>) -> Result<Tensor> {
    let (inputs, d_output) = tensors.split_at(tensors.len() - 1);
    let tape = Tape::new();
    let leaves: Vec<Var> = inputs.iter().map(|input| tape.leaf(input.clone())).collect();
    let output = run(&leaves)?;
    let kept = output.tensor().clone();
    drop(tape.backward_from(vec![(output, d_output[0].clone())])?);
    Ok(kept)
}

fn copy(name: &'static str, sizes: Vec<usize>, bound: Bound) -> Row {
    let prepare = call(vec![Input::new(&sizes)], None, |inputs| scale(&inputs[0], 1.0));
    let floats = 2 * sizes.iter().product::<usize>();
    Row { is_ceiling: true, bound, ..in_memory(name, format!("{sizes:?}"), floats, prepare) }
}

fn addition(count: usize) -> Row {
    let input = || Input::new(&[count]);
    in_memory(
        "add",
        format!("[{count}]"),
        3 * count,
        call(vec![input(), input()], None, |inputs| add(&inputs[0], &inputs[1])),
    )
}

/// A product of [m, k] and [k, n].
fn product(name: &'static str, [m, k, n]: [usize; 3], moved: Moved, prepare: Prepare) -> Row {
    let flops = 2.0 * m as f64 * k as f64 * n as f64;
    Row { is_ceiling: true, ..in_arithmetic(name, format!("{m} x {k} x {n}"), flops, moved, prepare) }
}

fn square(name: &'static str, n: usize, half: bool) -> Row {
    let input = || Input::new(&[n, n]).in_half(half);
    let moved = Moved { narrow: 2 * n * n, wide: n * n, half };
    product(name, [n, n, n], moved, call(vec![input(), input()], None, |inputs| matmul(&inputs[0], &inputs[1])))
}

/// x [tokens, width] · Wᵀ with W [wide, width].
fn linear_layer(name: &'static str, [tokens, width, wide]: [usize; 3], half: bool) -> Row {
    let inputs = vec![Input::new(&[tokens, width]).in_half(half), Input::new(&[wide, width])];
    let moved = Moved { narrow: tokens * (width + wide), wide: wide * width, half };
    let precision = if half { Precision::Half } else { Precision::Full };
    let run = move |inputs: &[Var]| linear_in(&inputs[0], &inputs[1], precision);
    product(name, [tokens, width, wide], moved, call(inputs, None, run))
}

/// dW = dYᵀ · x with dY [tokens, wide], as the backward of [`linear_layer`] computes it.
fn weight_gradient(name: &'static str, [tokens, width, wide]: [usize; 3], half: bool) -> Row {
    let inputs = [[tokens, wide], [tokens, width]].map(|sizes| Input::new(&sizes).in_half(half)).into();
    let moved = Moved { narrow: tokens * (width + wide), wide: wide * width, half };
    let transposed = MatMul { transpose_left: true, transpose_right: false, ..Default::default() };
    let run = move |inputs: &[Var]| apply_one(transposed, &[&inputs[0], &inputs[1]]);
    product(name, [wide, tokens, width], moved, call(inputs, None, run))
}

fn softmax_rows(name: &'static str, rows: usize, columns: usize, backward: bool) -> Row {
    let sizes = [rows, columns];
    // x, y; y, dy, dx.
    let tensors = if backward { 2 + 3 } else { 2 };
    let d_y = backward.then(|| Input::new(&sizes));
    let prepare = call(vec![Input::new(&sizes)], d_y, |inputs| softmax(&inputs[0]));
    Row { bound: Bound::Rows, ..in_memory(name, format!("{sizes:?}"), tensors * rows * columns, prepare) }
}

fn norm_rows(name: &'static str, rows: usize, columns: usize, backward: bool) -> Row {
    let sizes = [rows, columns];
    // x, y and the weight; x, dy, dx, the weight and its gradient.
    let (tensors, weights) = if backward { (2 + 3, 1 + 2) } else { (2, 1) };
    let d_y = backward.then(|| Input::new(&sizes));
    let inputs = vec![Input::new(&sizes), Input::new(&[columns])];
    let prepare = call(inputs, d_y, |inputs| rms_norm(&inputs[0], &inputs[1], 1e-6));
    let floats = tensors * rows * columns + weights * columns;
    Row { bound: Bound::Rows, ..in_memory(name, format!("{sizes:?}"), floats, prepare) }
}

const HEADS: usize = 8;
const HEAD_DIM: usize = 64;

/// Causal attention [batch, sequence, 8, 64].
fn causal(name: &'static str, [batch, sequence]: [usize; 2], backward: bool, half: bool) -> Row {
    let sizes = [batch, sequence, HEADS, HEAD_DIM];
    let forward = attention_flops(batch, HEADS, sequence, HEAD_DIM);
    // query, key, value, output; these and the gradients of the four.
    let (flops, tensors) = if backward { (3.5 * forward, 4 + 8) } else { (forward, 4) };
    let input = || Input::new(&sizes).in_half(half);
    let d_output = backward.then(input);
    let prepare = call(vec![input(), input(), input()], d_output, |i| attention(&i[0], &i[1], &i[2]));
    let moved = Moved { narrow: tensors * sizes.iter().product::<usize>(), wide: 0, half };
    in_arithmetic(name, format!("{sizes:?}"), flops, moved, prepare)
}

/// Of the forward of causal attention.
pub fn attention_flops(batch: usize, heads: usize, sequence: usize, head_dim: usize) -> f64 {
    2.0 * (batch * heads * head_dim) as f64 * (sequence as f64).powi(2)
}

/// One position over a cache.
fn attention_step(batch: usize, cache: usize) -> Row {
    let (one, all) = ([batch, 1, HEADS, HEAD_DIM], [batch, cache, HEADS, HEAD_DIM]);
    let inputs = vec![Input::new(&one), Input::new(&all), Input::new(&all)];
    let floats = 2 * batch * HEADS * HEAD_DIM * (1 + cache);
    let prepare = call(inputs, None, |i| attention(&i[0], &i[1], &i[2]));
    in_memory("attention_step", format!("{one:?} over {cache}"), floats, prepare)
}

/// The sizes of an mLSTM.
#[derive(Clone, Copy)]
pub struct Cell {
    /// Sequences.
    pub batch: usize,
    /// Positions of each.
    pub sequence: usize,
    /// Heads.
    pub heads: usize,
    /// Size of a head's query and key.
    pub qk: usize,
    /// Size of a head's value.
    pub v: usize,
}

impl Cell {
    /// The options that suit the cell, for query, key and value in f16 if `half`.
    pub fn options(self, half: bool) -> Options {
        let chunk_size = chunk_size_for(self.qk, self.v, if half { DType::F16 } else { DType::F32 });
        Options { chunk_size, ..Options::default() }
    }

    /// Query, key, value, in f16 if `half`, and both gates; the forget gate is around 3, as in a trained model.
    pub fn inputs(self, half: bool) -> Vec<Input> {
        let Self { batch, sequence, heads, qk, v } = self;
        let vectors = |width| Input::new(&[batch, sequence, heads, width]).in_half(half);
        let gate = |mean| Input::around(mean, &[batch, sequence, heads]);
        vec![vectors(qk), vectors(qk), vectors(v), gate(0.0), gate(3.0)]
    }

    /// Of the forward, or of forward and backward, with query, key and value in f16 if `half`.
    pub fn flops(self, backward: bool, half: bool) -> f64 {
        let [chunk, qk, v] = [self.options(half).chunk_size, self.qk, self.v].map(|size| size as f64);
        let forward = chunk * (qk + v) + 4.0 * qk * v;
        let behind = if backward { chunk * (3.0 * qk + 2.0 * v) + 10.0 * qk * v } else { 0.0 };
        (self.batch * self.sequence * self.heads) as f64 * (forward + behind)
    }

    fn moved(self, backward: bool, half: bool) -> Moved {
        let Self { qk, v, .. } = self;
        // Query, key, value; gates, h, denominator. With the backward these again, the gradient of h, and those of the inputs.
        let (narrow, wide) = if backward { (3 * (2 * qk + v), 2 * (v + 3) + v + 2) } else { (2 * qk + v, v + 3) };
        let positions = self.batch * self.sequence * self.heads;
        Moved { narrow: positions * narrow, wide: positions * wide, half }
    }

    /// The sizes in their order.
    pub fn name(self) -> String {
        let Self { batch, sequence, heads, qk, v } = self;
        format!("{:?}", [batch, sequence, heads, qk, v])
    }
}

fn recurrence(name: &'static str, cell: Cell, backward: bool, half: bool) -> Row {
    let options = cell.options(half);
    let d_h = backward.then(|| Input::new(&[cell.batch, cell.sequence, cell.heads, cell.v]));
    let prepare = call(cell.inputs(half), d_h, move |i| mlstm(&i[0], &i[1], &i[2], &i[3], &i[4], options));
    in_arithmetic(name, cell.name(), cell.flops(backward, half), cell.moved(backward, half), prepare)
}

/// One position from a state to the next.
fn recurrent_step(cell: Cell) -> Row {
    let cell = Cell { sequence: 1, ..cell };
    let Cell { batch, heads, qk, v, .. } = cell;
    let mut inputs = cell.inputs(false);
    inputs.extend([Input::new(&[batch, heads, qk, v]), Input::new(&[batch, heads, qk]), Input::new(&[batch, heads])]);
    // The state is read and written; query, key, value, gates, h.
    let floats = batch * heads * (2 * (qk * v + qk + 1) + 2 * qk + 2 * v + 2);
    let prepare = call(inputs, None, move |i| {
        let state = State { memory: i[5].clone(), normalizer: i[6].clone(), stabilizer: i[7].clone() };
        let (_, state) = mlstm_step(&i[0], &i[1], &i[2], &i[3], &i[4], &state, cell.options(false))?;
        Ok(state.memory)
    });
    in_memory("mlstm_step", cell.name(), floats, prepare)
}

/// AdamW over the weights of a preset.
fn optimizer(preset: &'static str) -> Row {
    let model = presets::find(preset).map(|found| ModelConfiguration { vocab_size: VOCABULARY, ..found.model });
    let count = model.as_ref().map_or(0, |model| model.parameters().total() as usize);
    // Weight, gradient and two moments are read; all but the gradient are written.
    in_memory(
        "adamw",
        format!("{preset}, {count}"),
        7 * count,
        Box::new(move |session| {
            let model = model.clone().map_err(|error| gradus_engine::Error::shape("adamw", error.to_string()))?;
            update(session, &Configuration::for_model(model))
        }),
    )
}

fn update(session: &Session, configuration: &Configuration) -> Result<Launch> {
    let refused = |error: String| gradus_engine::Error::shape("adamw", error);
    let mut model =
        Model::new(configuration.model.clone(), &session.device, 0).map_err(|error| refused(error.to_string()))?;
    let mut optimizer = step::optimizer(&model, &configuration.optimizer, &configuration.precision)
        .map_err(|error| refused(error.to_string()))?;
    let gradient = |(seed, weight): (u32, &Tensor)| {
        Tensor::new(&session.device, weight.sizes(), &floats(seed, weight.elements(), 0.0))
    };
    let gradients: Vec<Tensor> = (0..).zip(&model.weights).map(gradient).collect::<Result<_>>()?;
    Ok(Box::new(move || {
        optimizer.step(&mut model.weights, &gradients, 1e-5)?;
        // Weights that somebody holds cannot be changed in place; this stands for them.
        Ok(gradients[0].clone())
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counted(name: &str) -> (f64, f64) {
        let row = list(1, true).into_iter().find(|row| row.name == name).unwrap();
        (row.flops, row.bytes)
    }

    #[test]
    fn rows_count_what_their_formulas_say() {
        const MIB: f64 = (1 << 20) as f64;
        assert_eq!(counted("copy"), (0.0, 768.0 * MIB));
        assert_eq!(counted("add"), (0.0, 768.0 * MIB));
        assert_eq!(counted("copy_rows"), counted("softmax"));
        assert_eq!(counted("matmul_1024"), (2f64.powi(31), 12.0 * MIB));
        assert_eq!(counted("matmul_1024_f16"), (2f64.powi(31), 8.0 * MIB));
        assert_eq!(counted("linear"), (2f64.powi(34), (16.0 + 4.0 + 64.0) * MIB));
        assert_eq!(counted("linear_weight_gradient"), counted("linear"));
        assert_eq!(counted("softmax"), (0.0, 64.0 * MIB));
        assert_eq!(counted("softmax_backward"), (0.0, 160.0 * MIB));
        assert_eq!(counted("rms_norm_backward"), (0.0, 160.0 * MIB + 3.0 * 4096.0));
        // 2 · 8 · 8 · 1024² · 64, and tensors of 16 MiB.
        assert_eq!(counted("attention_1024"), (2f64.powi(33), 64.0 * MIB));
        assert_eq!(counted("attention_1024_f16"), (2f64.powi(33), 32.0 * MIB));
        assert_eq!(counted("attention_1024_backward"), (3.5 * 2f64.powi(33), 192.0 * MIB));
        // 8 · 2048 · 4 positions and heads in chunks of 64.
        let positions = 65_536.0;
        assert_eq!(counted("mlstm_2048"), (positions * (64.0 * 192.0 + 4.0 * 8192.0), positions * 4.0 * 387.0));
        let both = 64.0 * 192.0 + 64.0 * 448.0 + 14.0 * 8192.0;
        assert_eq!(counted("mlstm_2048_backward"), (positions * both, positions * 4.0 * (387.0 + 515.0 + 258.0)));
        assert_eq!(counted("mlstm_step"), (0.0, 128.0 * (2.0 * 32_897.0 + 770.0)));
        assert_eq!(counted("attention_step"), (0.0, 128.0 * MIB + 32_768.0));
        let (_, bytes) = counted("adamw");
        assert!((33e6..35e6).contains(&(bytes / 28.0)), "{bytes}");
    }

    #[test]
    fn names_are_unique_and_sizes_divide() {
        for part in [1, PROCESSOR_PART] {
            let rows = list(part, true);
            let names: std::collections::BTreeSet<_> = rows.iter().map(|row| row.name).collect();
            assert_eq!(names.len(), rows.len());
            assert!(rows.iter().all(|row| row.bytes > 0.0 && (row.flops > 0.0 || matches!(row.bound, Bound::Memory | Bound::Rows))));
        }
    }
}
