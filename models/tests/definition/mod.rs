//! Both models as their papers write them: naive, in f64, token by token, with nothing shared with the crate but the names of
//! the weights. Each [`Trap`] makes one mistake that is easily made, to show that the comparison would see it.

use std::collections::HashMap;

use gradus_models::Model;
use gradus_models::configuration::{Architecture, ModelConfiguration, RopeScaling};

/// A mistake.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trap {
    /// None: the published computation.
    None,
    /// RMSNorm over the heads' outputs, as everywhere else, not LayerNorm.
    RootMeanSquareOverHeads,
    /// The key scaled instead of the query: the state differs, the output does not.
    KeyScaled,
    /// A stabiliser that starts at minus infinity: so does its final value, and ε counts otherwise.
    StabilizerFromNowhere,
    /// ε before the maximum.
    EpsilonInside,
    /// No soft cap on the gates.
    GatesUncapped,
    /// No soft cap on the logits.
    LogitsUncapped,
    /// Rotary pairs (2j, 2j + 1) instead of halves.
    RotaryPairs,
    /// Key-value head h mod groups instead of ⌊h / (heads / groups)⌋.
    GroupsInterleaved,
    /// Scores over √(number of heads) instead of √(head size).
    ScaledByHeads,
    /// The gate of the feed-forward layer and the other matrix exchanged.
    GateAndUpExchanged,
    /// ε of the norms left at 1e-6, whatever the configuration says.
    DefaultEpsilon,
    /// The rotary base left at 10000.
    DefaultBase,
    /// Frequencies that the configuration scales left as they are.
    FrequenciesUnscaled,
    /// All frequencies divided by the factor, short waves too.
    EveryFrequencyDivided,
    /// The biases of projections left out.
    BiasesLeftOut,
    /// The bias of the projection to queries put behind the rotation.
    QueryBiasBehindRotation,
}

pub struct Definition<'a> {
    model: &'a ModelConfiguration,
    weights: HashMap<&'a str, Vec<f64>>,
    trap: Trap,
}

/// C, n and m of a head.
pub type Cell = (Vec<f64>, Vec<f64>, f64);

type Rows = Vec<Vec<f64>>;

impl<'a> Definition<'a> {
    pub fn new(model: &'a Model, trap: Trap) -> Self {
        let named = model.parameters().iter().zip(&model.weights);
        let weights = named.map(|(parameter, tensor)| (parameter.name.as_str(), tensor.to_f64().unwrap())).collect();
        Self { model: model.configuration(), weights, trap }
    }

    fn weight(&self, name: &str) -> &[f64] {
        self.weights.get(name).unwrap_or_else(|| panic!("{name}"))
    }

    /// Moves an element of a weight.
    pub fn shift(&mut self, name: &str, at: usize, by: f64) {
        self.weights.get_mut(name).unwrap_or_else(|| panic!("{name}"))[at] += by;
    }

    /// W x for a matrix [out, in].
    fn linear(&self, name: &str, x: &[f64]) -> Vec<f64> {
        self.weight(name).chunks(x.len()).map(|row| dot(row, x)).collect()
    }

    /// The bias of a Transformer's layer, whose matrix is named here.
    fn bias(&self, name: &str) -> Option<&[f64]> {
        let wanted = self.model.architecture == Architecture::Transformer && self.trap != Trap::BiasesLeftOut;
        let name = name.strip_suffix("weight").filter(|_| wanted)?;
        self.weights.get(format!("{name}bias").as_str()).map(Vec::as_slice)
    }

    /// W x, and + b if there is a bias.
    fn projected(&self, name: &str, x: &[f64]) -> Vec<f64> {
        let mut y = self.linear(name, x);
        y.iter_mut().zip(self.bias(name).into_iter().flatten()).for_each(|(y, b)| *y += b);
        y
    }

    fn epsilon(&self) -> f64 {
        if self.trap == Trap::DefaultEpsilon { 1e-6 } else { self.model.norm_eps }
    }

    fn rms_norm(&self, name: &str, x: &[f64]) -> Vec<f64> {
        let mean = dot(x, x) / x.len() as f64;
        let scale = 1.0 / (mean + self.epsilon()).sqrt();
        x.iter().zip(self.weight(name)).map(|(x, w)| x * scale * w).collect()
    }

    fn feed_forward(&self, prefix: &str, [gate, up, down]: [&str; 3], x: &[f64]) -> Vec<f64> {
        let (gate, up) = if self.trap == Trap::GateAndUpExchanged { (up, gate) } else { (gate, up) };
        let gate = self.projected(&format!("{prefix}{gate}"), x);
        let up = self.projected(&format!("{prefix}{up}"), x);
        let hidden: Vec<f64> = gate.iter().zip(&up).map(|(g, u)| g * sigmoid(*g) * u).collect();
        self.projected(&format!("{prefix}{down}"), &hidden)
    }

    /// Logits of one text, and for an xLSTM the final state of each head of each block.
    pub fn run(&self, tokens: &[u32]) -> (Rows, Vec<Cell>) {
        let xlstm = self.model.architecture == Architecture::Xlstm;
        let width = self.model.embedding_dim;
        let embedding = self.weight(if xlstm { "backbone.embeddings.weight" } else { "model.embed_tokens.weight" });
        let mut x: Rows = tokens.iter().map(|token| embedding[*token as usize * width..][..width].to_vec()).collect();
        let mut states = Vec::new();
        for block in 0..self.model.num_blocks {
            let mixed = if xlstm { self.mlstm(block, &x, &mut states) } else { self.attention(block, &x) };
            add(&mut x, &mixed);
            let (prefix, norm, names) = if xlstm {
                (
                    format!("backbone.blocks.{block}."),
                    "norm_ffn.weight",
                    ["ffn.proj_up_gate.weight", "ffn.proj_up.weight", "ffn.proj_down.weight"],
                )
            } else {
                (
                    format!("model.layers.{block}."),
                    "post_attention_layernorm.weight",
                    ["mlp.gate_proj.weight", "mlp.up_proj.weight", "mlp.down_proj.weight"],
                )
            };
            let hidden: Rows = x
                .iter()
                .map(|x| self.feed_forward(&prefix, names, &self.rms_norm(&format!("{prefix}{norm}"), x)))
                .collect();
            add(&mut x, &hidden);
        }
        let norm = if xlstm { "backbone.out_norm.weight" } else { "model.norm.weight" };
        let head = match (self.model.tie_word_embeddings, xlstm) {
            (false, _) => "lm_head.weight",
            (true, true) => "backbone.embeddings.weight",
            (true, false) => "model.embed_tokens.weight",
        };
        let cap = self.model.output_logit_soft_cap.filter(|_| self.trap != Trap::LogitsUncapped);
        let logits = x.iter().map(|x| {
            let logits = self.linear(head, &self.rms_norm(norm, x));
            logits.into_iter().map(|x| cap.map_or(x, |cap| cap * (x / cap).tanh())).collect()
        });
        (logits.collect(), states)
    }

    fn mlstm(&self, block: usize, x: &[Vec<f64>], states: &mut Vec<Cell>) -> Rows {
        let model = self.model;
        let name = |part: &str| format!("backbone.blocks.{block}.{part}");
        let (heads, dqk, dv) = (model.num_heads, model.qk_head_dim, model.v_head_dim);
        let start = if self.trap == Trap::StabilizerFromNowhere { f64::NEG_INFINITY } else { 0.0 };
        let mut cells: Vec<Cell> = vec![(vec![0.0; dqk * dv], vec![0.0; dqk], start); heads];
        let mut out = Rows::new();
        for x in x {
            let normed = self.rms_norm(&name("norm_mlstm.weight"), x);
            let project = |part: &str| self.linear(&name(&format!("mlstm_layer.{part}.weight")), &normed);
            let gate = |part: &str| -> Vec<f64> {
                let bias = self.weight(&name(&format!("mlstm_layer.{part}.bias")));
                let cap = |x: f64| {
                    if self.trap == Trap::GatesUncapped {
                        x
                    } else {
                        model.gate_soft_cap * (x / model.gate_soft_cap).tanh()
                    }
                };
                project(part).iter().zip(bias).map(|(x, b)| cap(x + b)).collect()
            };
            let (q, k, v, o) = (project("q"), project("k"), project("v"), project("ogate_preact"));
            let (i, f) = (gate("igate_preact"), gate("fgate_preact"));
            let mut mixed = Vec::new();
            for (head, cell) in cells.iter_mut().enumerate() {
                let (q, k) = (&q[head * dqk..][..dqk], &k[head * dqk..][..dqk]);
                let h = self.cell(cell, q, k, &v[head * dv..][..dv], i[head], f[head]);
                mixed.extend(self.head_norm(&h));
            }
            let scale = self.weight(&name("mlstm_layer.multihead_norm.weight"));
            let gated: Vec<f64> = mixed.iter().zip(scale).zip(&o).map(|((h, w), o)| h * w * sigmoid(*o)).collect();
            out.push(self.linear(&name("mlstm_layer.out_proj.weight"), &gated));
        }
        states.extend(cells);
        out
    }

    /// One step of a head.
    fn cell(
        &self,
        (memory, normalizer, stabilizer): &mut Cell,
        q: &[f64],
        k: &[f64],
        v: &[f64],
        i: f64,
        f: f64,
    ) -> Vec<f64> {
        let scale = 1.0 / (q.len() as f64).sqrt();
        let (for_query, for_key) = if self.trap == Trap::KeyScaled { (1.0, scale) } else { (scale, 1.0) };
        let log_forget = -(-f).exp().ln_1p();
        let m = (log_forget + *stabilizer).max(i);
        let (keep, take) = ((log_forget + *stabilizer - m).exp(), (i - m).exp());
        *stabilizer = m;
        let columns = v.len();
        for (row, k) in k.iter().enumerate() {
            normalizer[row] = keep * normalizer[row] + take * k * for_key;
            for (column, v) in v.iter().enumerate() {
                let at = row * columns + column;
                memory[at] = keep * memory[at] + take * k * for_key * v;
            }
        }
        let den = for_query * dot(normalizer, q);
        let floor = (-m).exp();
        let denominator = if self.trap == Trap::EpsilonInside {
            (den.abs() + self.model.cell_eps).max(floor)
        } else {
            den.abs().max(floor) + self.model.cell_eps
        };
        (0..columns)
            .map(|column| {
                let sum: f64 = q.iter().enumerate().map(|(row, q)| memory[row * columns + column] * q).sum();
                for_query * sum / denominator
            })
            .collect()
    }

    fn head_norm(&self, h: &[f64]) -> Vec<f64> {
        let count = h.len() as f64;
        let mean = if self.trap == Trap::RootMeanSquareOverHeads { 0.0 } else { h.iter().sum::<f64>() / count };
        let variance = h.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / count;
        h.iter().map(|x| (x - mean) / (variance + self.epsilon()).sqrt()).collect()
    }

    fn attention(&self, block: usize, x: &[Vec<f64>]) -> Rows {
        let model = self.model;
        let name = |part: &str| format!("model.layers.{block}.{part}");
        let (heads, groups, size) = (model.num_heads, model.num_key_value_heads, model.qk_head_dim);
        let normed: Rows = x.iter().map(|x| self.rms_norm(&name("input_layernorm.weight"), x)).collect();
        let all = |part: &str| -> Rows {
            normed.iter().map(|x| self.projected(&name(&format!("self_attn.{part}.weight")), x)).collect()
        };
        let turned = |rows: Rows| -> Rows {
            rows.iter()
                .enumerate()
                .map(|(position, row)| row.chunks(size).flat_map(|head| self.rotate(head, position)).collect())
                .collect()
        };
        let (mut q, k, v) = (turned(all("q_proj")), turned(all("k_proj")), all("v_proj"));
        if self.trap == Trap::QueryBiasBehindRotation {
            let weight = name("self_attn.q_proj.weight");
            q = turned(normed.iter().map(|x| self.linear(&weight, x)).collect());
            let bias = self.bias(&weight).unwrap();
            q.iter_mut().for_each(|q| q.iter_mut().zip(bias).for_each(|(q, b)| *q += b));
        }
        let scale = 1.0 / (if self.trap == Trap::ScaledByHeads { heads } else { size } as f64).sqrt();
        let mut out = Rows::new();
        for (position, q) in q.iter().enumerate() {
            let mut mixed = Vec::new();
            for head in 0..heads {
                let group = if self.trap == Trap::GroupsInterleaved { head % groups } else { head / (heads / groups) };
                let query = &q[head * size..][..size];
                let scores: Vec<f64> =
                    k[..=position].iter().map(|key| scale * dot(query, &key[group * size..][..size])).collect();
                let highest = scores.iter().copied().fold(f64::NEG_INFINITY, f64::max);
                let terms: Vec<f64> = scores.iter().map(|score| (score - highest).exp()).collect();
                let total: f64 = terms.iter().sum();
                mixed.extend((0..size).map(|column| {
                    let sum: f64 = terms.iter().zip(&v).map(|(term, value)| term * value[group * size + column]).sum();
                    sum / total
                }));
            }
            out.push(self.projected(&name("self_attn.o_proj.weight"), &mixed));
        }
        out
    }

    fn rotate(&self, head: &[f64], position: usize) -> Vec<f64> {
        let half = head.len() / 2;
        let base = if self.trap == Trap::DefaultBase { 10_000.0 } else { self.model.rope_theta };
        let mut out = head.to_vec();
        for j in 0..half {
            let angle = position as f64 * self.scaled(base.powf(-2.0 * j as f64 / head.len() as f64));
            let (a, b) = if self.trap == Trap::RotaryPairs { (2 * j, 2 * j + 1) } else { (j, j + half) };
            out[a] = head[a] * angle.cos() - head[b] * angle.sin();
            out[b] = head[b] * angle.cos() + head[a] * angle.sin();
        }
        out
    }
}

impl Definition<'_> {
    /// A frequency as transformers scales it, by its wavelength.
    fn scaled(&self, frequency: f64) -> f64 {
        match self.model.rope_scaling {
            _ if self.trap == Trap::FrequenciesUnscaled => frequency,
            RopeScaling::Unscaled => frequency,
            RopeScaling::Linear { factor } => frequency / factor,
            RopeScaling::Llama3 { factor, .. } if self.trap == Trap::EveryFrequencyDivided => frequency / factor,
            RopeScaling::Llama3 { factor, low, high, original_context } => {
                let old_context = original_context as f64;
                let (longest, shortest) = (old_context / low, old_context / high);
                let wavelength = 2.0 * std::f64::consts::PI / frequency;
                if wavelength < shortest {
                    return frequency;
                }
                if wavelength > longest {
                    return frequency / factor;
                }
                let smooth = (old_context / wavelength - low) / (high - low);
                (1.0 - smooth) * frequency / factor + smooth * frequency
            }
        }
    }
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

fn sigmoid(x: f64) -> f64 {
    1.0 / (1.0 + (-x).exp())
}

fn add(x: &mut [Vec<f64>], y: &[Vec<f64>]) {
    for (x, y) in x.iter_mut().flatten().zip(y.iter().flatten()) {
        *x += y;
    }
}
