//! The mLSTM cell, whose files have layout [batch, heads, sequence, ..]: whole sequences at every chunk size, forward and
//! backward; the same chunk by chunk with the state passed on; and position by position.
//!
//! What a file does not have is not looked at: initial states, gradients into the final state, states at borders, and the
//! upstream gradient of h, without which there is no backward.

mod cell;
mod recurrent;

use gradus_engine::definition::Array;
use gradus_engine::ops::mlstm::CHUNK_SIZES;

use super::attention::{scaled, swapped};
use super::trial::Trial;
use crate::error::Result;
use cell::{Cell, Variant};

/// Chunk sizes that every file runs with, besides its own.
const SIZES: [usize; 5] = [16, 31, 64, 128, 256];

/// q, k, v, i, f and, or not, c0, n0, m0 → h, den, the running m, the states, and all gradients.
pub fn check(trial: &mut Trial) -> Result<()> {
    let cell = Cell::new(trial.vectors)?;
    for variant in Variant::of_file(trial.vectors)? {
        let stabilizers = recurrent::check(trial, &cell, variant)?;
        recurrent::check_chunks(trial, &cell, variant)?;
        let mut chunk_sizes = SIZES.to_vec();
        chunk_sizes.extend(cell.chunk_size.filter(|own| CHUNK_SIZES.contains(own) && !SIZES.contains(own)));
        for chunk_size in chunk_sizes {
            whole(trial, &cell, variant, chunk_size, &stabilizers)?;
        }
    }
    Ok(())
}

/// The whole sequence in chunks of one size.
fn whole(trial: &mut Trial, cell: &Cell, variant: Variant, chunk_size: usize, stabilizers: &Array) -> Result<()> {
    let way = format!("chunk {chunk_size}");
    let tensors = |arrays: &[Array]| arrays.iter().map(|array| trial.tensor(array)).collect::<Result<Vec<_>>>();
    let mut inputs = tensors(&cell.inputs)?;
    if let Some(initial) = &cell.initial {
        inputs.extend(tensors(initial)?);
    }
    let mut upstream = Vec::new();
    for d_output in cell.upstream(variant) {
        upstream.push(d_output.map(|array| trial.tensor(array)).transpose()?);
    }
    let (outputs, gradients) = trial.evaluate(&variant.operation(cell, chunk_size), &inputs, &upstream)?;
    trial.compare(&variant.name("h"), &way, &swapped(&outputs[0]))?;
    for (name, state) in variant.states("last").iter().zip(&outputs[1..4]) {
        trial.compare(name, &way, state)?;
    }
    trial.compare(&variant.name("den"), &way, &floored(&swapped(&outputs[4]), stabilizers, variant))?;
    let names = ["dq", "dk", "dv", "di", "df", "dc0", "dn0", "dm0"];
    for (name, gradient) in names.into_iter().zip(gradients) {
        let Some(gradient) = gradient else { continue };
        let gradient = if name.len() == 2 { swapped(&gradient) } else { gradient };
        let gradient = if name == "dq" { scaled(&gradient, cell.query_factor) } else { gradient };
        // With ε over 0 a stabiliser that is held constant makes a difference of ε's size in these three.
        if variant.has_stabilizer() && matches!(name, "di" | "df" | "dm0") {
            trial.compare_loosely(&variant.name(name), &way, &gradient)?;
        } else {
            trial.compare(&variant.name(name), &way, &gradient)?;
        }
    }
    Ok(())
}

/// The denominator as it is stored: max(|den|, exp(−m)), without a stabiliser max(|den|, 1).
fn floored(den: &Array, stabilizers: &Array, variant: Variant) -> Array {
    let floor = |m: f64| if variant.has_stabilizer() { (-m).exp() } else { 1.0 };
    let data = den.data.iter().zip(&stabilizers.data).map(|(den, &m)| den.abs().max(floor(m))).collect();
    Array { sizes: den.sizes.clone(), data }
}
