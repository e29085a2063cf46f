//! Operations of the folder `ops` that are functions of a few tensors: run on a tape, forward and backward.

use gradus_engine::definition::Array;
use gradus_engine::ops::norm::{layer_norm, multi_head_norm, rms_norm};
use gradus_engine::ops::softmax::{log_softmax, softmax};
use gradus_engine::ops::swiglu::swiglu;
use gradus_engine::ops::unary::{log_sigmoid, sigmoid, soft_cap};
use gradus_engine::{Tape, Tensor, Var};

use super::trial::{Trial, read};
use crate::error::Result;

/// An output, the name of its upstream gradient among the tensors, and its value.
type Output = (String, String, Var);

/// Runs `build` on the named inputs; compares its outputs, and the gradients of the inputs (`d` and the input's name).
/// Where the file has no upstream gradient, nothing comes from that output.
fn check(trial: &mut Trial, inputs: &[&str], build: impl FnOnce(&[Var]) -> Result<Vec<Output>>) -> Result<()> {
    let tape = Tape::new();
    let leaf = |name: &&str| Ok(tape.leaf(trial.tensor(trial.vectors.array(name)?)?));
    let leaves: Vec<Var> = inputs.iter().map(leaf).collect::<Result<_>>()?;
    let mut seeds = Vec::new();
    for (name, upstream, output) in build(&leaves)? {
        let value = read(output.tensor())?;
        trial.compare(&name, "", &value)?;
        if let Some(upstream) = trial.vectors.optional_shaped(&upstream, &value.sizes)? {
            seeds.push((output, trial.tensor(&upstream)?));
        }
    }
    if seeds.is_empty() {
        return Ok(());
    }
    let mut gradients = tape.backward_from(seeds)?;
    for (name, leaf) in inputs.iter().zip(&leaves) {
        let gradient = gradient(gradients.take(leaf), leaf)?;
        trial.compare(&format!("d{name}"), "", &gradient)?;
    }
    Ok(())
}

/// A leaf's gradient: zeros if nothing came to it.
fn gradient(found: Option<Tensor>, leaf: &Var) -> Result<Array> {
    match found {
        Some(tensor) => read(&tensor),
        None => Ok(Array { sizes: leaf.sizes().to_vec(), data: vec![0.0; leaf.tensor().elements()] }),
    }
}

fn one(output: Var) -> Vec<Output> {
    vec![("y".into(), "dy".into(), output)]
}

/// x, w, ε → y.
pub fn rms_norms(trial: &mut Trial) -> Result<()> {
    let epsilon = trial.vectors.number("eps")?;
    check(trial, &["x", "w"], |inputs| Ok(one(rms_norm(&inputs[0], &inputs[1], epsilon)?)))
}

/// x, w, b if there is one, ε → y.
pub fn layer_norms(trial: &mut Trial) -> Result<()> {
    let epsilon = trial.vectors.number("eps")?;
    let inputs: &[&str] = if trial.vectors.has("b") { &["x", "w", "b"] } else { &["x", "w"] };
    check(trial, inputs, |inputs| Ok(one(layer_norm(&inputs[0], &inputs[1], inputs.get(2), epsilon)?)))
}

/// x [.., heads, D], w [heads · D], ε → y [.., heads · D].
pub fn multi_head_norms(trial: &mut Trial) -> Result<()> {
    let epsilon = trial.vectors.number("eps")?;
    check(trial, &["x", "w"], |inputs| Ok(one(multi_head_norm(&inputs[0], &inputs[1], epsilon)?)))
}

/// x → y = ln σ(x), sig = σ(x).
pub fn log_sigmoids(trial: &mut Trial) -> Result<()> {
    check(trial, &["x"], |inputs| {
        let both = [("y", "dy", log_sigmoid(&inputs[0])?), ("sig", "dsig", sigmoid(&inputs[0])?)];
        Ok(both.map(|(name, upstream, output)| (name.into(), upstream.into(), output)).into())
    })?;
    // Near 0 both are as small as e^−x and matter all the same: ln σ of a forget gate is summed over the sequence.
    let x = trial.constant(trial.vectors.array("x")?)?;
    trial.compare_elements("y", "", &read(log_sigmoid(&x)?.tensor())?)?;
    trial.compare_elements("sig", "", &read(sigmoid(&x)?.tensor())?)
}

/// x → y15 = 15 · tanh(x / 15), and so for every number; y with the parameter `cap`.
pub fn soft_caps(trial: &mut Trial) -> Result<()> {
    let vectors = trial.vectors;
    let mut caps: Vec<(String, f64)> = Vec::new();
    for name in vectors.names() {
        if let Some(Ok(cap)) = name.strip_prefix('y').map(str::parse) {
            caps.push((name[1..].into(), cap));
        }
    }
    if vectors.has("y") {
        caps.push((String::new(), vectors.number("cap")?));
    }
    check(trial, &["x"], |inputs| {
        let output = |(suffix, cap): &(String, f64)| {
            Ok((format!("y{suffix}"), format!("dy{suffix}"), soft_cap(&inputs[0], *cap)?))
        };
        caps.iter().map(output).collect()
    })
}

/// x → y, y_log.
pub fn softmaxes(trial: &mut Trial) -> Result<()> {
    check(trial, &["x"], |inputs| {
        let both = [("y", "dy", softmax(&inputs[0])?), ("y_log", "dy_log", log_softmax(&inputs[0])?)];
        Ok(both.map(|(name, upstream, output)| (name.into(), upstream.into(), output)).into())
    })
}

/// gate, up → y.
pub fn swiglus(trial: &mut Trial) -> Result<()> {
    check(trial, &["gate", "up"], |inputs| Ok(one(swiglu(&inputs[0], &inputs[1])?)))
}

/// w [vocabulary, features], ids [..] → y [.., features].
pub fn embeddings(trial: &mut Trial) -> Result<()> {
    let rows = trial.vectors.array("w")?.sizes.first().copied().unwrap_or(0);
    let ids = Var::constant(trial.indices("ids", rows)?);
    check(trial, &["w"], |inputs| Ok(one(gradus_engine::ops::embedding::embedding(&inputs[0], &ids)?)))
}
