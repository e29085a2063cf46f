//! AdamW: all steps, the moments at the end, and the norms of the gradients.
//!
//! A file holds for each tensor NAME `grad_NAME` [steps, ..], NAME [steps + 1, ..] (before the first step and after every
//! one), and after the last step `m_NAME` and `v_NAME`; `norms` [steps] are those of all gradients before clipping.

use gradus_engine::definition::Array;
use gradus_engine::ops::optimizer::{AdamW, Optimizer, Parameter};
use gradus_engine::tensor::Spec;

use super::file::Vectors;
use super::trial::{Trial, read};
use crate::error::Result;

/// A tensor of the file.
struct Trained<'a> {
    name: &'a str,
    sizes: Vec<usize>,
    gradients: &'a Array,
    values: Array,
}

impl Trained<'_> {
    /// Row `step` of a tensor whose first dimension is the steps.
    fn of_step(&self, array: &Array, step: usize) -> Array {
        let count: usize = self.sizes.iter().product();
        Array::new(&self.sizes, array.data[step * count..][..count].to_vec())
    }
}

fn trained(vectors: &Vectors) -> Result<(usize, Vec<Trained<'_>>)> {
    let names: Vec<&str> = vectors.names().filter_map(|name| name.strip_prefix("grad_")).collect();
    let mut steps = vectors.optional_count("steps")?;
    let mut found = Vec::new();
    for name in names {
        let gradients = vectors.array(&format!("grad_{name}"))?;
        let Some((&rows, sizes)) = gradients.sizes.split_first() else {
            return Err(vectors.problem(format!("tensor `grad_{name}` has no dimension of steps")));
        };
        let expected = *steps.get_or_insert(rows);
        if rows != expected {
            return Err(vectors.problem(format!("tensor `grad_{name}` has {rows} steps, expected {expected}")));
        }
        let mut all = vec![rows + 1];
        all.extend(sizes);
        found.push(Trained { name, sizes: sizes.to_vec(), gradients, values: vectors.shaped(name, &all)? });
    }
    match steps {
        Some(steps) if !found.is_empty() => Ok((steps, found)),
        _ => Err(vectors.problem("no tensor `grad_…` is there")),
    }
}

/// Takes all steps.
pub fn check(trial: &mut Trial) -> Result<()> {
    let vectors = trial.vectors;
    let (steps, tensors) = trained(vectors)?;
    let options = AdamW {
        beta1: vectors.number("beta1")?,
        beta2: vectors.number("beta2")?,
        epsilon: vectors.number("eps")?,
        max_norm: vectors.optional_number("max_norm")?,
    };
    let (rate, weight_decay) = (vectors.number("lr")?, vectors.number("weight_decay")?);
    let parameters = tensors.iter().map(|tensor| {
        Ok(Parameter { name: tensor.name.into(), spec: Spec::new(&tensor.sizes, trial.dtype)?, weight_decay })
    });
    let mut optimizer = Optimizer::new(trial.device, parameters.collect::<Result<_>>()?, options)?;
    let before = tensors.iter().map(|tensor| trial.tensor(&tensor.of_step(&tensor.values, 0)));
    let mut weights = before.collect::<Result<Vec<_>>>()?;
    let mut values: Vec<Vec<f64>> = weights.iter().map(|weight| Ok(weight.to_f64()?)).collect::<Result<_>>()?;
    let mut norms = Vec::new();
    for step in 0..steps {
        let gradients = tensors.iter().map(|tensor| trial.tensor(&tensor.of_step(tensor.gradients, step)));
        optimizer.step(&mut weights, &gradients.collect::<Result<Vec<_>>>()?, rate)?;
        for (values, weight) in values.iter_mut().zip(&weights) {
            values.extend(weight.to_f64()?);
        }
        norms.push(optimizer.read_state()?.wait()?.gradient_norm);
    }
    for (place, (tensor, values)) in tensors.iter().zip(values).enumerate() {
        let moments = optimizer.moments(place)?;
        trial.compare(tensor.name, "", &Array { sizes: tensor.values.sizes.clone(), data: values })?;
        trial.compare(&format!("m_{}", tensor.name), "", &read(&moments.first)?)?;
        trial.compare(&format!("v_{}", tensor.name), "", &read(&moments.second)?)?;
    }
    trial.compare("norms", "", &Array::new(&[steps], norms))
}
