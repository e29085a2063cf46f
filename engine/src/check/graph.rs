//! An operation in the middle of a graph, as a model uses it: between other operations, with inputs that are used twice.
//!
//! What is put around it is exact (negation, multiplication by one, casts of f16 to f32 and back), so the tape must give the
//! very bits that the bare operation gives, or sums of two of them.

use std::rc::Rc;

use super::case::{floats_or_indices, rounded};
use super::evaluate::Outcome;
use super::{Case, Input};
use crate::ops::cast::cast;
use crate::ops::unary::negate;
use crate::tape::{Tape, apply};
use crate::{DType, Device, Error, Result, Tensor, Var};

impl Case {
    /// Whether the tape gives the gradients that the bare operation gave: `outcome`, on the same device in the same type.
    ///
    /// # Errors
    /// A gradient that differs, with the input's place; what the operation meets.
    pub fn expect_same_in_a_graph(
        &self,
        device: &Device,
        dtype: DType,
        upstream: &[Vec<f64>],
        outcome: &Outcome,
    ) -> Result<()> {
        let tape = Tape::new();
        // What half precision is made of and goes on to: only casts are defined on it everywhere.
        let wide = if dtype == DType::F64 { DType::F64 } else { DType::F32 };
        // Each float input is the negation of a leaf, and is negated once more on a path of its own that ends in a seed.
        let mut leaves = Vec::new();
        let mut inputs = Vec::new();
        for input in &self.inputs {
            if input.index {
                leaves.push(None);
                inputs.push(Var::constant(input.tensor(device, dtype)?));
            } else {
                let tensor = floats_or_indices(device, &input.array.sizes, &input.array.data, wide)?;
                let leaf = tape.leaf(negate(&Var::constant(tensor))?.into_tensor());
                inputs.push(as_type(negate(&leaf)?, input.dtype(device, dtype))?);
                leaves.push(Some(leaf));
            }
        }
        let outputs = apply(Rc::clone(&self.operation), &inputs.iter().collect::<Vec<_>>())?;
        let mut seeds = Vec::new();
        for (output, data) in outputs.iter().zip(upstream) {
            let seed = floats_or_indices(device, output.sizes(), data, wide)?;
            seeds.push((negate(&as_type(output.clone(), wide)?)?, negate(&Var::constant(seed))?.into_tensor()));
        }
        // The second use: each input also flows into its own negation, whose gradient is 1 everywhere.
        for (leaf, input) in leaves.iter().zip(&inputs) {
            if leaf.is_some() {
                let ones = vec![1.0; input.tensor().elements()];
                let seed = floats_or_indices(device, input.sizes(), &ones, wide)?;
                seeds.push((negate(&as_type(input.clone(), wide)?)?, seed));
            }
        }
        let mut gradients = tape.backward_from(seeds)?;
        for (place, (leaf, bare)) in leaves.iter().zip(&outcome.gradients).enumerate() {
            let Some(leaf) = leaf else { continue };
            let got = gradients.take(leaf).map(|gradient| gradient.to_f64()).transpose()?;
            // leaf → −leaf: both uses' gradients change their sign; g for the operation and −1 for the second use.
            let of = outcome.input_types[place];
            let expected: Vec<f64> = match bare {
                Some(bare) => bare.iter().map(|g| -rounded(g - 1.0, of)).collect(),
                None => vec![1.0; self.inputs[place].array.data.len()],
            };
            // A kernel that adds to a sum of f16 in place rounds once where the bare operation and a sum round twice: the
            // gradient that is added, and the sum.
            let unit = if of == DType::F16 { f64::from(half::f16::EPSILON) } else { 0.0 };
            let equal = |got: f64, expected: f64, bare: f64| {
                got == expected || (got - expected).abs() <= unit * got.abs().max(expected.abs()).max(bare.abs())
            };
            let whole = got.as_ref().is_some_and(|got| got.len() == expected.len());
            let bare = |at: usize| bare.as_ref().map_or(0.0, |bare| bare[at]);
            let differ = got.map_or(0, |got| {
                let pairs = got.iter().zip(&expected).enumerate();
                pairs.filter(|&(at, (&got, &expected))| !equal(got, expected, bare(at))).count()
            });
            if !whole || differ > 0 {
                let message = format!(
                    "in a graph, with input {place} used twice, {differ} elements of its gradient are not what the bare \
                     operation gives: {}",
                    self.describe()
                );
                return Err(Error::shape(self.operation.name(), message));
            }
        }
        Ok(())
    }

    /// The same tensor given for two inputs of equal shape: its gradient must be the sum of both. Cases without such inputs
    /// pass.
    ///
    /// # Errors
    /// A gradient that differs; what the operation meets.
    pub fn expect_sums_for_one_tensor_twice(&self, device: &Device, dtype: DType, upstream: &[Vec<f64>]) -> Result<()> {
        let alike = |one: &Input, other: &Input| one.array.sizes == other.array.sizes && one.half == other.half;
        let floats = || self.inputs.iter().enumerate().filter(|(_, input)| !input.index);
        let pair = floats().find_map(|(first, input)| {
            floats().find(|(second, other)| *second > first && alike(input, other)).map(|(second, _)| (first, second))
        });
        let Some((first, second)) = pair else { return Ok(()) };
        let mut same = self.clone();
        same.inputs[second] = same.inputs[first].clone();
        let bare = same.evaluate(device, dtype, upstream)?;
        let tape = Tape::new();
        let shared = tape.leaf(same.inputs[first].tensor(device, dtype)?);
        let mut inputs = Vec::new();
        for (place, input) in same.inputs.iter().enumerate() {
            inputs.push(match place {
                place if place == first || place == second => shared.clone(),
                _ if input.index => Var::constant(input.tensor(device, dtype)?),
                _ => tape.leaf(input.tensor(device, dtype)?),
            });
        }
        let outputs = apply(Rc::clone(&same.operation), &inputs.iter().collect::<Vec<_>>())?;
        let mut seeds: Vec<(Var, Tensor)> = Vec::new();
        for (output, data) in outputs.into_iter().zip(upstream) {
            let seed = floats_or_indices(device, output.sizes(), data, output.tensor().dtype())?;
            seeds.push((output, seed));
        }
        let got = tape.backward_from(seeds)?.take(&shared).map(|gradient| gradient.to_f64()).transpose()?;
        let expected = match (&bare.gradients[first], &bare.gradients[second]) {
            (Some(a), Some(b)) => Some(a.iter().zip(b).map(|(a, b)| rounded(a + b, bare.input_types[first])).collect()),
            (Some(only), None) | (None, Some(only)) => Some(only.clone()),
            (None, None) => None,
        };
        // Two things that are not numbers are equal here: the same tensor for both may leave an operation's domain.
        let equal = |a: &Vec<f64>, b: &Vec<f64>| a.iter().zip(b).all(|(a, b)| a == b || (a.is_nan() && b.is_nan()));
        match (&got, &expected) {
            (None, None) => Ok(()),
            (Some(got), Some(expected)) if equal(got, expected) => Ok(()),
            _ => {
                let message = format!(
                    "with one tensor for inputs {first} and {second}, its gradient is not the sum of both: {}",
                    same.describe()
                );
                Err(Error::shape(self.operation.name(), message))
            }
        }
    }
}

/// `x` in a type; itself if it has it.
fn as_type(x: Var, dtype: DType) -> Result<Var> {
    if x.tensor().dtype() == dtype { Ok(x) } else { cast(&x, dtype) }
}
