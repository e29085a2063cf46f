//! The cell with its state passed on: position by position, and chunk by chunk.

use std::collections::{BTreeMap, BTreeSet};

use gradus_engine::definition::Array;
use gradus_engine::ops::mlstm::{CHUNK_SIZES, State, mlstm_step, mlstm_with_state};
use gradus_engine::{Tensor, Var};

use super::super::attention::swapped;
use super::super::trial::{Trial, read};
use super::cell::{Cell, Variant};
use crate::error::Result;

/// States by the number of positions before them.
type States = BTreeMap<usize, [Array; 3]>;

/// Position by position: compares h, the running m and the states of the file; gives the running m [B, H, S].
pub fn check(trial: &mut Trial, cell: &Cell, variant: Variant) -> Result<Array> {
    let way = "step by step";
    let mut wanted: BTreeSet<usize> = borders(trial, cell, variant)?.into_iter().collect();
    if trial.vectors.has(&variant.name("c_all")) {
        wanted.extend(0..=cell.sequence);
    }
    wanted.insert(cell.sequence);
    let mut states = States::new();
    let mut state = initial(trial, cell)?;
    let (mut h, mut stabilizers) = (Vec::new(), Vec::new());
    for position in 0..=cell.sequence {
        if wanted.contains(&position) {
            states.insert(position, arrays(&state)?);
        }
        if position == cell.sequence {
            break;
        }
        let [query, key, value, input_gate, forget_gate] = inputs(trial, cell, position, 1)?;
        let options = variant.options(cell, *CHUNK_SIZES.start());
        let (row, after) = mlstm_step(&query, &key, &value, &input_gate, &forget_gate, &state, options)?;
        h.push(row.into_tensor());
        stabilizers.push(after.stabilizer.tensor().clone());
        state = after;
    }
    let row = |width: usize, tensors: &[Tensor]| joined(cell, width, tensors);
    trial.compare(&variant.name("h"), way, &row(cell.v_dim, &h)?)?;
    let stabilizers = Array { sizes: vec![cell.batch, cell.heads, cell.sequence], ..row(1, &stabilizers)? };
    trial.compare(&variant.name("m"), way, &stabilizers)?;
    compare_states(trial, cell, variant, way, &states)?;
    Ok(stabilizers)
}

/// Chunk by chunk between the borders at which the file has states: compares h and the states.
pub fn check_chunks(trial: &mut Trial, cell: &Cell, variant: Variant) -> Result<()> {
    let borders = borders(trial, cell, variant)?;
    if borders.is_empty() {
        return Ok(());
    }
    let mut state = initial(trial, cell)?;
    let mut states = States::from([(0, arrays(&state)?)]);
    let mut parts = Vec::new();
    for pair in borders.windows(2) {
        let [query, key, value, input_gate, forget_gate] = inputs(trial, cell, pair[0], pair[1] - pair[0])?;
        let options = variant.options(cell, (pair[1] - pair[0]).clamp(*CHUNK_SIZES.start(), *CHUNK_SIZES.end()));
        let (part, after) = mlstm_with_state(&query, &key, &value, &input_gate, &forget_gate, &state, options)?;
        parts.push(part.into_tensor());
        state = after;
        states.insert(pair[1], arrays(&state)?);
    }
    let way = "chunk by chunk";
    trial.compare(&variant.name("h"), way, &joined(cell, cell.v_dim, &parts)?)?;
    compare_states(trial, cell, variant, way, &states)
}

/// The borders at which the file has states, 0 and the sequence's end among them; none, if it has no such states.
fn borders(trial: &Trial, cell: &Cell, variant: Variant) -> Result<Vec<usize>> {
    let vectors = trial.vectors;
    let names = variant.states("states");
    let Some(name) = names.iter().find(|name| vectors.has(name)) else { return Ok(Vec::new()) };
    let Some(chunk_size) = cell.chunk_size.filter(|&size| size > 0) else {
        return Err(vectors.problem(format!("tensor `{name}` needs a parameter `chunk_size` over 0")));
    };
    let mut borders: Vec<usize> = (0..cell.sequence).step_by(chunk_size).collect();
    borders.push(cell.sequence);
    Ok(borders)
}

fn compare_states(trial: &mut Trial, cell: &Cell, variant: Variant, way: &str, states: &States) -> Result<()> {
    let of_borders = borders(trial, cell, variant)?;
    let everywhere: Vec<usize> = (0..=cell.sequence).collect();
    for (place, positions) in [("states", of_borders), ("all", everywhere), ("last", vec![cell.sequence])] {
        let found: Option<Vec<&[Array; 3]>> = positions.iter().map(|position| states.get(position)).collect();
        let Some(found) = found.filter(|found| !found.is_empty()) else { continue };
        for (at, name) in variant.states(place).iter().enumerate() {
            let parts: Vec<&Array> = found.iter().map(|state| &state[at]).collect();
            let mut stacked = stacked(&parts);
            if place == "last" {
                stacked.sizes.remove(2);
            }
            trial.compare(name, way, &stacked)?;
        }
    }
    Ok(())
}

/// Arrays [B, H, ..] as one [B, H, arrays, ..].
fn stacked(parts: &[&Array]) -> Array {
    let sizes = &parts[0].sizes;
    let (cells, width) = (sizes[0] * sizes[1], sizes[2..].iter().product::<usize>());
    let rows = (0..cells).flat_map(|cell| parts.iter().flat_map(move |part| &part.data[cell * width..][..width]));
    Array { sizes: [&sizes[..2], &[parts.len()], &sizes[2..]].concat(), data: rows.copied().collect() }
}

/// Tensors [B, positions, H, width] one after another, as [B, H, S, width].
fn joined(cell: &Cell, width: usize, tensors: &[Tensor]) -> Result<Array> {
    let parts = tensors.iter().map(|tensor| Ok(tensor.to_f64()?)).collect::<Result<Vec<_>>>()?;
    let mut data = Vec::new();
    for batch in 0..cell.batch {
        for part in &parts {
            let count = part.len() / cell.batch;
            data.extend_from_slice(&part[batch * count..][..count]);
        }
    }
    Ok(swapped(&Array { sizes: vec![cell.batch, cell.sequence, cell.heads, width], data }))
}

/// The five inputs of `count` positions from `first` on.
fn inputs(trial: &Trial, cell: &Cell, first: usize, count: usize) -> Result<[Var; 5]> {
    let part = |array: &Array| -> Result<Var> {
        let row: usize = array.sizes[2..].iter().product();
        let batches = array.data.chunks((cell.sequence * row).max(1));
        let data = batches.flat_map(|batch| batch[first * row..(first + count) * row].to_vec()).collect();
        let mut sizes = array.sizes.clone();
        sizes[1] = count;
        trial.constant(&Array { sizes, data })
    };
    let [query, key, value, input_gate, forget_gate] = cell.inputs.each_ref().map(part);
    Ok([query?, key?, value?, input_gate?, forget_gate?])
}

/// The initial state, 0 if the file has none.
fn initial(trial: &Trial, cell: &Cell) -> Result<State> {
    let [c, n, m] = cell.state_sizes();
    let zeros = |sizes: Vec<usize>| Array { data: vec![0.0; sizes.iter().product()], sizes };
    let [c, n, m] = cell.initial.clone().unwrap_or_else(|| [zeros(c), zeros(n), zeros(m)]);
    Ok(State { memory: trial.constant(&c)?, normalizer: trial.constant(&n)?, stabilizer: trial.constant(&m)? })
}

fn arrays(state: &State) -> Result<[Array; 3]> {
    Ok([read(state.memory.tensor())?, read(state.normalizer.tensor())?, read(state.stabilizer.tensor())?])
}
