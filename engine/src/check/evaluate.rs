//! Runs one case: on a device, by its definition, backward in f64, and by finite differences.

use super::case::{floats_or_indices, rounded};
use super::compare::Worst;
use super::verdict::FINITE_DIFFERENCE_BOUND;
use super::{Case, Draw, Input};
use crate::definition::Defined;
use crate::operation::{Context, run, run_backward};
use crate::tensor::{Spec, Tensor};
use crate::{DType, Device, Error, Result};

/// Visible outputs and gradients of the float inputs, as f64.
#[derive(Debug, Clone, PartialEq)]
pub struct Outcome {
    /// The visible outputs.
    pub outputs: Vec<Vec<f64>>,
    /// The types they had: the operation may give another than the one computed in.
    pub types: Vec<DType>,
    /// The types of the inputs, which their gradients have as well.
    pub input_types: Vec<DType>,
    /// The gradient of each float input, `None` where the operation gives none.
    pub gradients: Vec<Option<Vec<f64>>>,
}

/// The l2 sizes of what elements are made of.
pub(crate) struct Magnitudes {
    pub outputs: Vec<Vec<f64>>,
    pub gradients: Vec<Option<Vec<f64>>>,
}

impl Case {
    /// Random gradients of the visible outputs, exact f32 numbers, or f16 ones for an output of that type.
    pub fn upstream(&self, seed: u64) -> Result<Vec<Vec<f64>>> {
        let mut draw = Draw::new(seed ^ 0x5eed, 0);
        let specs = self.output_specs()?;
        let visible = specs.len() - self.operation.auxiliary();
        let of = |spec: &Spec| {
            let mut data = draw.normals(spec.shape.sizes(), 0.3, 1.0).array.data;
            if spec.dtype == DType::F16 {
                data.iter_mut().for_each(|x| *x = rounded(*x, DType::F16));
            }
            data
        };
        Ok(specs[..visible].iter().map(of).collect())
    }

    /// As on a GPU, where f16 is.
    fn output_specs(&self) -> Result<Vec<Spec>> {
        let dtype = |input: &Input| match (input.index, input.half) {
            (true, _) => DType::U32,
            (false, true) => DType::F16,
            (false, false) => DType::F32,
        };
        let specs: Result<Vec<Spec>> =
            self.inputs.iter().map(|input| Spec::new(&input.array.sizes, dtype(input))).collect();
        self.operation.outputs(&specs?)
    }

    /// The sizes of the visible outputs.
    pub(crate) fn output_sizes(&self) -> Result<Vec<Vec<usize>>> {
        let specs = self.output_specs()?;
        let visible = specs.len() - self.operation.auxiliary();
        Ok(specs[..visible].iter().map(|spec| spec.shape.sizes().to_vec()).collect())
    }

    /// Forward and backward on a device in a type; f16 stands for mixed precision, in which inputs that are so marked are
    /// f16 and all computing is done in f32.
    ///
    /// # Errors
    /// What the operation meets; outputs whose specs are not those of the shape rule.
    pub fn evaluate(&self, device: &Device, dtype: DType, upstream: &[Vec<f64>]) -> Result<Outcome> {
        self.evaluate_with(device, dtype, upstream, Ok)
    }

    /// The same with the forward's outputs changed before the backward sees them.
    fn evaluate_with(
        &self,
        device: &Device,
        dtype: DType,
        upstream: &[Vec<f64>],
        mut change: impl FnMut(Tensor) -> Result<Tensor>,
    ) -> Result<Outcome> {
        let inputs: Result<Vec<Tensor>> = self.inputs.iter().map(|input| input.tensor(device, dtype)).collect();
        let inputs = inputs?;
        let outputs = run(&*self.operation, &inputs.iter().collect::<Vec<_>>())?;
        self.expect_specs(&inputs, &outputs)?;
        let outputs: Vec<Tensor> = outputs.into_iter().map(&mut change).collect::<Result<_>>()?;
        let visible = outputs.len() - self.operation.auxiliary();
        let gradients = match self.forward_only {
            true => vec![None; inputs.len()],
            false => self.backward(device, &inputs, &outputs, upstream)?,
        };
        let visible = &outputs[..visible];
        Ok(Outcome {
            outputs: visible.iter().map(Tensor::to_f64).collect::<Result<_>>()?,
            types: visible.iter().map(Tensor::dtype).collect(),
            input_types: inputs.iter().map(Tensor::dtype).collect(),
            gradients,
        })
    }

    fn expect_specs(&self, inputs: &[Tensor], outputs: &[Tensor]) -> Result<()> {
        let specs: Vec<Spec> = inputs.iter().map(Tensor::spec).collect();
        let expected = self.operation.outputs(&specs)?;
        let got: Vec<Spec> = outputs.iter().map(Tensor::spec).collect();
        // Told to give f16, an operation gives the type it computes in on the CPU.
        let same = |(got, expected): (&Spec, &Spec)| {
            let on_cpu = outputs.iter().any(|output| !output.device().is_gpu());
            let computed = on_cpu && expected.dtype == DType::F16 && got.dtype == DType::F32;
            got == expected || (computed && got.shape == expected.shape)
        };
        if got.len() == expected.len() && got.iter().zip(&expected).all(same) {
            return Ok(());
        }
        Err(Error::shape(self.operation.name(), format!("the shape rule says {expected:?}, the forward gave {got:?}")))
    }

    fn backward(
        &self,
        device: &Device,
        inputs: &[Tensor],
        outputs: &[Tensor],
        upstream: &[Vec<f64>],
    ) -> Result<Vec<Option<Vec<f64>>>> {
        let saves = self.operation.saves();
        let keep = |tensors: &[Tensor], places: &[usize]| -> Vec<Option<Tensor>> {
            tensors.iter().enumerate().map(|(at, tensor)| places.contains(&at).then(|| tensor.clone())).collect()
        };
        let d_outputs: Result<Vec<Option<Tensor>>> = upstream
            .iter()
            .zip(outputs)
            .map(|(data, output)| {
                let data: Vec<f64> = data.iter().map(|&x| rounded(x, DType::F32)).collect();
                floats_or_indices(device, output.sizes(), &data, output.dtype()).map(Some)
            })
            .collect();
        let context = Context {
            operation: self.operation.name(),
            input_specs: &inputs.iter().map(Tensor::spec).collect::<Vec<_>>(),
            inputs: &keep(inputs, saves.inputs),
            outputs: &keep(outputs, saves.outputs),
            d_outputs: &d_outputs?,
            needs: &self.inputs.iter().map(|input| !input.index).collect::<Vec<_>>(),
        };
        let gradients = run_backward(&*self.operation, &context)?;
        if gradients.len() != inputs.len() {
            return Err(Error::shape(self.operation.name(), "the backward must return one entry for each input"));
        }
        gradients
            .iter()
            .zip(inputs)
            .map(|(gradient, input)| {
                let Some(gradient) = gradient else { return Ok(None) };
                if gradient.spec() != input.spec() {
                    let message = format!("the gradient of {input:?} is {gradient:?}");
                    return Err(Error::shape(self.operation.name(), message));
                }
                gradient.to_f64().map(Some)
            })
            .collect()
    }

    /// The visible outputs by the definition.
    pub fn define(&self) -> Vec<Defined> {
        self.operation.definition(&self.inputs.iter().map(|input| input.array.clone()).collect::<Vec<_>>())
    }

    /// Forward and backward in f64 on the CPU: the yardstick of gradients once finite differences have confirmed it. Without
    /// a gradient it is what the definition says.
    ///
    /// # Errors
    /// As [`Case::evaluate`].
    pub fn exact(&self, upstream: &[Vec<f64>]) -> Result<Outcome> {
        if !self.forward_only {
            return self.evaluate(&Device::cpu(), DType::F64, upstream);
        }
        let outputs: Vec<Vec<f64>> = self.define().into_iter().map(|output| output.value.data).collect();
        Ok(Outcome {
            types: vec![DType::F64; outputs.len()],
            outputs,
            input_types: vec![DType::F64; self.inputs.len()],
            gradients: vec![None; self.inputs.len()],
        })
    }

    /// For each element of outputs and of gradients the l2 size of what it is made of; see `compare.rs`.
    pub(crate) fn magnitudes(&self, upstream: &[Vec<f64>], exact: &Outcome) -> Result<Magnitudes> {
        // With half as many, the root mean square of one element in some millions came out a fifth of what it stands for.
        const PROBES: usize = 12;
        const MOVE: f64 = 1e-6;
        let mut draw = Draw::new(0xf11b, 0);
        let mut squares: Vec<Option<Vec<f64>>> =
            exact.gradients.iter().map(|g| g.as_ref().map(|g| vec![0.0; g.len()])).collect();
        let mut outputs: Vec<Vec<f64>> = exact.outputs.iter().map(|output| vec![0.0; output.len()]).collect();
        if self.forward_only {
            return Ok(Magnitudes { outputs, gradients: squares });
        }
        let mut add = |outcome: &Outcome, from: Option<&Outcome>, weight: f64| {
            for (place, (sum, gradient)) in squares.iter_mut().zip(&outcome.gradients).enumerate() {
                let (Some(sum), Some(gradient)) = (sum, gradient) else { continue };
                let base = from.and_then(|outcome| outcome.gradients[place].as_ref());
                for (at, (sum, &value)) in sum.iter_mut().zip(gradient).enumerate() {
                    let difference = (value - base.map_or(0.0, |base| base[at])) * weight;
                    *sum += difference * difference / PROBES as f64;
                }
            }
        };
        add(exact, None, (PROBES as f64).sqrt() * 0.5);
        for _ in 0..PROBES {
            let weighted: Vec<Vec<f64>> =
                upstream.iter().map(|data| data.iter().map(|&x| x * draw.normal()).collect()).collect();
            add(&self.exact(&weighted)?, None, 1.0);
            let mut moved = self.clone();
            for input in moved.inputs.iter_mut().filter(|input| !input.index) {
                input.array.data.iter_mut().for_each(|x| *x *= 1.0 + MOVE * draw.normal());
            }
            let cpu = Device::cpu();
            let moved = moved.evaluate_with(&cpu, DType::F64, upstream, |output| {
                if output.dtype() != DType::F64 {
                    return Ok(output);
                }
                let values = output.to_f64()?.into_iter().map(|x| x * (1.0 + MOVE * draw.normal()));
                Tensor::new(&cpu, output.sizes(), &values.collect::<Vec<f64>>())
            })?;
            add(&moved, Some(exact), 1.0 / MOVE);
            for (sum, (moved, exact)) in outputs.iter_mut().zip(moved.outputs.iter().zip(&exact.outputs)) {
                for (sum, (moved, exact)) in sum.iter_mut().zip(moved.iter().zip(exact)) {
                    *sum += ((moved - exact) / MOVE).powi(2) / PROBES as f64;
                }
            }
        }
        let root = |sum: Vec<f64>| sum.into_iter().map(f64::sqrt).collect();
        Ok(Magnitudes {
            outputs: outputs.into_iter().map(root).collect(),
            gradients: squares.into_iter().map(|sum| sum.map(root)).collect(),
        })
    }

    /// The worst difference between the f64 gradients, `exact`, and fourth-order central differences of the definition, at up
    /// to `samples` elements of each input; relative to what the element is made of, `magnitudes`.
    pub(crate) fn finite_differences(
        &self,
        upstream: &[Vec<f64>],
        (exact, magnitudes): (&Outcome, &[Option<Vec<f64>>]),
        samples: usize,
        seed: u64,
    ) -> Worst {
        let mut draw = Draw::new(seed, 0);
        let mut worst = Worst::default();
        for (place, (gradient, magnitude)) in exact.gradients.iter().zip(magnitudes).enumerate() {
            let (Some(gradient), Some(magnitude)) = (gradient, magnitude) else { continue };
            let scale = magnitude.iter().copied().fold(0.0, f64::max) * 1e-3;
            for sample in 0..samples.min(gradient.len()) {
                let at = if gradient.len() <= samples { sample } else { draw.number(0..=gradient.len() - 1) };
                let size = magnitude[at].max(scale).max(gradient[at].abs()) + 1e-30;
                // The longer steps may reach over a kink, the shorter may drown in rounding. A wrong gradient fails all.
                let error = [1e-2, 1e-3, 1e-4]
                    .map(|step| {
                        let (difference, rounding) = self.difference(place, at, upstream, step);
                        (difference - gradient[at]).abs() / (size + rounding / FINITE_DIFFERENCE_BOUND)
                    })
                    .into_iter()
                    .fold(f64::NAN, f64::min);
                let share = if error.is_nan() { f64::INFINITY } else { error / FINITE_DIFFERENCE_BOUND };
                worst = worst.max(Worst { share, error, bound: FINITE_DIFFERENCE_BOUND, place, at });
            }
        }
        worst
    }

    /// d Σ ⟨output, upstream⟩ / d input, from the definition at x ± h and x ± 2h, and what rounding may make of it.
    fn difference(&self, place: usize, at: usize, upstream: &[Vec<f64>], step: f64) -> (f64, f64) {
        let x = self.inputs[place].array.data[at];
        let h = step * x.abs().clamp(0.1, 10.0);
        let mut largest = 0.0f64;
        let mut value = |moved: f64| {
            let mut case = self.clone();
            case.inputs[place].array.data[at] = moved;
            let outputs = case.define();
            let products = || outputs.iter().zip(upstream).flat_map(|(output, up)| output.value.data.iter().zip(up));
            largest = largest.max(products().map(|(y, up)| (y * up).abs()).sum());
            products().map(|(y, up)| y * up).sum::<f64>()
        };
        let difference = (8.0 * (value(x + h) - value(x - h)) - (value(x + 2.0 * h) - value(x - 2.0 * h))) / (12.0 * h);
        (difference, f64::EPSILON * largest / h)
    }
}
