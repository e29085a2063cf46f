//! One position of the mLSTM layer: head sizes around a workgroup's share, gates far on both sides.

use super::{copied, on_the_cpu, wrong_inputs};
use crate::DType;
use crate::check::{Case, Draw};
use crate::definition::{Array, Defined};
use crate::device::Gpu;
use crate::error::Result;
use crate::operation::Forward;
use crate::ops::decode::{Mlstm, Recurrence};
use crate::ops::mlstm::{InputGate, Mlstm as Cell};
use crate::ops::norm::{Kind, Norm};
use crate::tensor::{Spec, Tensor};

const NAME: &str = "decode_mlstm";

/// Inputs: projection, bias of the gates, the norm's weight; C, n, m. Outputs: y; C, n, m.
#[derive(Debug, Clone, Copy)]
struct Step {
    layer: Mlstm,
}

impl Forward for Step {
    fn name(&self) -> &'static str {
        NAME
    }

    fn outputs(&self, inputs: &[Spec]) -> Result<Vec<Spec>> {
        let [projection, _, _, memory, normalizer, stabilizer] = inputs else {
            return Err(wrong_inputs(NAME, inputs.len()));
        };
        let batch = projection.shape.sizes().first().copied().unwrap_or(0);
        let y = Spec::new(&[batch, self.layer.heads * self.layer.v_dim], DType::F32)?;
        Ok(vec![y, *memory, *normalizer, *stabilizer])
    }

    fn forward_cpu(&self, _: &[&Tensor]) -> Result<Vec<Tensor>> {
        on_the_cpu(NAME)
    }

    fn forward_gpu(&self, gpu: &Gpu, inputs: &[&Tensor]) -> Result<Vec<Tensor>> {
        let &[projection, bias, scale, memory, normalizer, stabilizer] = inputs else {
            return Err(wrong_inputs(NAME, inputs.len()));
        };
        let [mut memory, mut normalizer, mut stabilizer] =
            [copied(gpu, memory)?, copied(gpu, normalizer)?, copied(gpu, stabilizer)?];
        let sizes = [projection.sizes()[0], self.layer.heads * self.layer.v_dim];
        let room = || Tensor::on_gpu(gpu, NAME, &sizes, DType::F32);
        let (mut numerator, mut y) = (room()?, room()?);
        let state = Recurrence { memory: &mut memory, normalizer: &mut normalizer, stabilizer: &mut stabilizer };
        self.layer.run(projection, (bias, scale), state, &mut numerator, &mut y)?;
        Ok(vec![y, memory, normalizer, stabilizer])
    }

    /// The cell's definition, then that of its norm. With z the normed h, an error δ of h becomes, by the mean and the
    /// deviation, at most factor · (|δ| + mean |δ| + |z| mean |z δ|) of y; and by the rounding of h itself what the norm says.
    fn definition(&self, inputs: &[Array]) -> Vec<Defined> {
        let [projection, bias, scale, memory, normalizer, stabilizer] = inputs else { return Vec::new() };
        let Mlstm { heads, qk_dim, v_dim, gate_cap, cell_epsilon, norm_epsilon } = self.layer;
        let batch = projection.sizes[0];
        let (qk, v) = (heads * qk_dim, heads * v_dim);
        let part = |first: usize, sizes: &[usize]| {
            let width: usize = sizes.iter().product();
            let rows = projection.data.chunks(projection.last());
            let data = rows.flat_map(|row| row[first..][..width].to_vec()).collect();
            Array::new(&[&[batch, 1], sizes].concat(), data)
        };
        let gate = |place: usize| {
            let mut gate = part(2 * (qk + v) + place * heads, &[heads]);
            let biases = bias.data[place * heads..][..heads].iter().cycle();
            gate.data.iter_mut().zip(biases).for_each(|(x, b)| *x = gate_cap * ((*x + b) / gate_cap).tanh());
            gate
        };
        let cell =
            Cell { chunk_size: 64, epsilon: cell_epsilon, input_gate: InputGate::Exponential, final_state: true };
        let inputs = [
            part(0, &[heads, qk_dim]),
            part(qk, &[heads, qk_dim]),
            part(2 * qk, &[heads, v_dim]),
            gate(0),
            gate(1),
            memory.clone(),
            normalizer.clone(),
            stabilizer.clone(),
        ];
        let mut outputs = cell.definition(&inputs);
        let h = outputs.remove(0);
        let norm = Norm::new(Kind::MultiHeadNormGated, norm_epsilon);
        let output_gate = part(2 * qk + v, &[v]);
        let mut y = norm.definition(&[h.value.clone(), scale.clone(), output_gate.clone()]).remove(0);
        y.value.sizes = vec![batch, v];
        y.terms = y.terms.max(h.terms);
        for (row, (h, errors)) in h.value.data.chunks(v_dim).zip(h.magnitude.chunks(v_dim)).enumerate() {
            let mean = |values: &mut dyn Iterator<Item = f64>| values.sum::<f64>() / v_dim as f64;
            let middle = mean(&mut h.iter().copied());
            let deviation = (mean(&mut h.iter().map(|h| (h - middle).powi(2))) + norm_epsilon).sqrt();
            let z = |at: usize| (h[at] - middle) / deviation;
            let of_mean = mean(&mut errors.iter().copied());
            let of_deviation = mean(&mut errors.iter().enumerate().map(|(at, error)| (z(at) * error).abs()));
            for (at, error) in errors.iter().enumerate() {
                let place = row * v_dim + at;
                let gate = 1.0 / (1.0 + (-output_gate.data[place]).exp());
                let factor = (gate * scale.data[row % heads * v_dim + at] / deviation).abs();
                y.magnitude[place] += factor * (error + of_mean + z(at).abs() * of_deviation);
            }
        }
        outputs.insert(0, y);
        outputs
    }
}

pub(crate) fn draw(draw: &mut Draw) -> Case {
    let (batch, heads) = (draw.number(1..=3), draw.number(1..=3));
    let most = (draw.elements / (batch * heads)).max(4);
    let v_dim = 4 * draw.size(8, (most / 4).min(130));
    let qk_dim = draw.size(32, (most / v_dim).clamp(1, 300));
    let layer = Mlstm {
        heads,
        qk_dim,
        v_dim,
        gate_cap: draw.choose(&[4.0, 15.0]),
        cell_epsilon: 1e-6,
        // A head whose outputs are nearly alike has no direction of its own: ε keeps it from being one of rounding errors.
        norm_epsilon: draw.choose(&[1e-2, 0.5]),
    };
    let mut projection = draw.normals(&[batch, layer.width()], 0.0, 1.0);
    let gates = layer.width() - 2 * heads;
    for text in projection.array.data.chunks_mut(layer.width()) {
        text[gates..].iter_mut().for_each(|gate| *gate = f64::from((*gate * 8.0) as f32));
    }
    let inputs = vec![
        projection,
        draw.normals(&[2 * heads], 1.0, 2.0),
        draw.normals(&[v_dim * heads], 1.0, 0.5),
        draw.normals(&[batch, heads, qk_dim, v_dim], 0.0, 1.0),
        draw.normals(&[batch, heads, qk_dim], 0.0, 1.0),
        draw.normals(&[batch, heads], 1.0, 3.0),
    ];
    Case::forward_only(Step { layer }, inputs)
}
