//! Causal attention and rotary embedding, whose files have layout [batch, heads, sequence, head_dim].

use gradus_engine::definition::Array;
use gradus_engine::ops::attention::Attention;
use gradus_engine::ops::rotary::{Rotary, RotaryTables};

use super::file::Vectors;
use super::trial::Trial;
use crate::error::Result;

/// [A, B, C, ..] as [A, C, B, ..]: heads and positions change places.
pub fn swapped(array: &Array) -> Array {
    let &[outer, first, second, ref inner @ ..] = array.sizes.as_slice() else { return array.clone() };
    let width: usize = inner.iter().product();
    let mut data = Vec::with_capacity(array.data.len());
    for at in 0..outer {
        for column in 0..second {
            for row in 0..first {
                data.extend_from_slice(&array.data[((at * first + row) * second + column) * width..][..width]);
            }
        }
    }
    let mut sizes = vec![outer, second, first];
    sizes.extend(inner);
    Array { sizes, data }
}

/// A tensor of four dimensions.
///
/// # Errors
/// A tensor that is missing, holds integers or has another number of dimensions.
pub fn four_dimensional<'a>(vectors: &'a Vectors, name: &str) -> Result<(&'a Array, [usize; 4])> {
    let array = vectors.array(name)?;
    match *array.sizes.as_slice() {
        [batch, heads, sequence, width] => Ok((array, [batch, heads, sequence, width])),
        _ => Err(vectors.problem(format!("tensor `{name}` has sizes {:?}, expected [B, H, S, D]", array.sizes))),
    }
}

/// The factor for the query where a file's scale is not 1/√`width`; 1 if it is, or the file does not say.
///
/// # Errors
/// A scale that is not a number over 0.
pub fn query_factor(vectors: &Vectors, name: &str, width: usize) -> Result<f64> {
    let Some(scale) = vectors.optional_number(name)? else { return Ok(1.0) };
    if scale <= 0.0 {
        return Err(vectors.problem(format!("parameter `{name}` should be over 0, it is {scale}")));
    }
    let factor = scale * (width as f64).sqrt();
    Ok(if (factor - 1.0).abs() < 1e-9 { 1.0 } else { factor })
}

/// Each element times `factor`.
pub fn scaled(array: &Array, factor: f64) -> Array {
    Array { sizes: array.sizes.clone(), data: array.data.iter().map(|x| x * factor).collect() }
}

/// q, k, v, dout → out, lse, dq, dk, dv.
pub fn check(trial: &mut Trial) -> Result<()> {
    let vectors = trial.vectors;
    if vectors.optional_flag("causal")? == Some(false) {
        return Err(vectors.problem("parameter `causal` is false, this operation has a causal mask"));
    }
    let (query, [batch, heads, queries, width]) = four_dimensional(vectors, "q")?;
    let (_, [_, kv_heads, keys, _]) = four_dimensional(vectors, "k")?;
    let factor = query_factor(vectors, "scale", width)?;
    let query = swapped(&scaled(query, factor));
    let key_sizes = [batch, kv_heads, keys, width];
    let [key, value] = ["k", "v"].map(|name| vectors.shaped(name, &key_sizes));
    let inputs = [trial.tensor(&query)?, trial.tensor(&swapped(&key?))?, trial.tensor(&swapped(&value?))?];
    let upstream = vectors.optional_shaped("dout", &[batch, heads, queries, width])?;
    let upstream = upstream.map(|upstream| trial.tensor(&swapped(&upstream))).transpose()?;
    let (outputs, gradients) = trial.evaluate(&Attention::default(), &inputs, &[upstream])?;
    trial.compare("out", "", &swapped(&outputs[0]))?;
    // The operation keeps of each row the largest score and the sum of exponentials beside it.
    let lse = outputs[1].data.chunks_exact(2).map(|pair| pair[0] + pair[1].ln()).collect();
    trial.compare("lse", "", &Array::new(&[batch, heads, queries], lse))?;
    for ((gradient, name), factor) in gradients.iter().zip(["dq", "dk", "dv"]).zip([factor, 1.0, 1.0]) {
        if let Some(gradient) = gradient {
            trial.compare(name, "", &scaled(&swapped(gradient), factor))?;
        }
    }
    Ok(())
}

/// x, dy, θ, the position of the first row → y, dx; and the tables cos, sin [S, D/2] if the file has them.
pub fn check_rotary(trial: &mut Trial) -> Result<()> {
    let vectors = trial.vectors;
    let (x, sizes) = four_dimensional(vectors, "x")?;
    let [_, _, sequence, head_dim] = sizes;
    if let Some(stated) = vectors.optional_count("head_dim")?.filter(|&stated| stated != head_dim) {
        return Err(vectors.problem(format!("parameter `head_dim` is {stated}, x has {:?}", x.sizes)));
    }
    let first_position = vectors.optional_count("position_offset")?.unwrap_or(0);
    let tables = RotaryTables::new(vectors.number("theta")? as f32, head_dim, first_position, sequence)?;
    let rotary = Rotary { tables, first_position };
    let upstream = vectors.optional_shaped("dy", &sizes)?;
    let upstream = upstream.map(|upstream| trial.tensor(&swapped(&upstream))).transpose()?;
    let (outputs, gradients) = trial.evaluate(&rotary, &[trial.tensor(&swapped(x))?], &[upstream])?;
    trial.compare("y", "", &swapped(&outputs[0]))?;
    if let Some(Some(gradient)) = gradients.first() {
        trial.compare("dx", "", &swapped(gradient))?;
    }
    // Rows of ones, then zeros, turn into the cosines and the sines.
    let half = head_dim / 2;
    let data = [vec![1.0; half], vec![0.0; half]].concat().repeat(sequence);
    let turned = trial.evaluate(&rotary, &[trial.tensor(&Array::new(&[1, sequence, 1, head_dim], data))?], &[None])?.0;
    for (name, first) in [("cos", 0), ("sin", half)] {
        let part = turned[0].data.chunks(head_dim.max(1)).flat_map(|row| row[first..first + half].to_vec());
        trial.compare(name, "", &Array::new(&[sequence, half], part.collect()))?;
    }
    Ok(())
}
