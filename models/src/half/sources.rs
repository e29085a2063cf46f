//! Where the weights of a model in f16 come from: a folder's files, another model, or a random generator on the device.

use gradus_engine::device::Gpu;
use gradus_engine::ops::random::normal_half;
use gradus_engine::tensor::copy_range;
use gradus_engine::{DType, Device, Tensor};

use crate::folder::Weights;
use crate::model::Model;
use crate::parameters::{Initial, Parameter};
use crate::{Error, Result};

/// Gives weights by their parameters; several are stacked by rows.
pub(super) trait Source {
    /// As f16.
    fn half(&mut self, parameters: &[&Parameter]) -> Result<Tensor>;
    /// As f32.
    fn full(&mut self, parameters: &[&Parameter]) -> Result<Tensor>;
}

/// The sizes of parameters stacked by rows: matrices [n, k], or vectors [n].
fn stacked(parameters: &[&Parameter]) -> Vec<usize> {
    let rows = parameters.iter().map(|parameter| parameter.sizes[0]).sum();
    let columns = parameters.first().map_or(&[][..], |first| &first.sizes[1..]);
    [&[rows], columns].concat()
}

/// An error of the engine with the names of what was to be made.
fn named(parameters: &[&Parameter]) -> impl Fn(gradus_engine::Error) -> Error {
    let names: Vec<&str> = parameters.iter().map(|parameter| parameter.name.as_str()).collect();
    let names = names.join(", ");
    move |error| match error {
        gradus_engine::Error::Limit { operation, message } => {
            Error::Engine(gradus_engine::Error::limit(operation, format!("{names}: {message}")))
        }
        other => Error::Engine(other),
    }
}

/// Random weights. A stack has the deviation of its first matrix: of an mLSTM's gates that is more than the 0 they are trained
/// from, which changes nothing in what a step costs.
pub(super) struct Random<'a> {
    gpu: &'a Gpu,
    seed: u64,
}

impl<'a> Random<'a> {
    pub(super) fn new(gpu: &'a Gpu, seed: u64) -> Self {
        Self { gpu, seed }
    }
}

impl Source for Random<'_> {
    fn half(&mut self, parameters: &[&Parameter]) -> Result<Tensor> {
        let deviation = match parameters.first().map(|parameter| parameter.initial) {
            Some(Initial::Normal(deviation)) => deviation,
            _ => 0.0,
        };
        self.seed = self.seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
        normal_half(self.gpu, &stacked(parameters), deviation, self.seed).map_err(named(parameters))
    }

    fn full(&mut self, parameters: &[&Parameter]) -> Result<Tensor> {
        let values: Vec<f32> = parameters.iter().flat_map(|parameter| spaced(parameter)).collect();
        Ok(Tensor::new(&Device::Gpu(self.gpu.clone()), &stacked(parameters), &values)?)
    }
}

/// The numbers that a norm or a bias starts with.
fn spaced(parameter: &Parameter) -> Vec<f32> {
    let count: usize = parameter.sizes.iter().product();
    let (first, last) = match parameter.initial {
        Initial::Spaced(first, last) => (first, last),
        Initial::Constant(value) => (value, value),
        Initial::Normal(_) => (0.0, 0.0),
    };
    let step = (last - first) / (count.max(2) - 1) as f64;
    (0..count).map(|at| (first + step * at as f64) as f32).collect()
}

/// The weights of a folder's files.
pub(super) struct OfFolder<'a, 'b> {
    gpu: &'a Gpu,
    weights: Weights<'b>,
}

impl<'a, 'b> OfFolder<'a, 'b> {
    pub(super) fn new(gpu: &'a Gpu, weights: Weights<'b>) -> Self {
        Self { gpu, weights }
    }
}

impl Source for OfFolder<'_, '_> {
    fn half(&mut self, parameters: &[&Parameter]) -> Result<Tensor> {
        let mut tensor =
            Tensor::on_gpu(self.gpu, "weights", &stacked(parameters), DType::F16).map_err(named(parameters))?;
        let mut first = 0;
        for parameter in parameters {
            self.weights.write_half(parameter, &mut tensor, first)?;
            first += parameter.sizes.iter().product::<usize>();
        }
        Ok(tensor)
    }

    fn full(&mut self, parameters: &[&Parameter]) -> Result<Tensor> {
        let mut values = Vec::new();
        for parameter in parameters {
            values.extend(self.weights.values(parameter)?);
        }
        Ok(Tensor::new(&Device::Gpu(self.gpu.clone()), &stacked(parameters), &values)?)
    }
}

/// The weights of a model in f32.
pub(super) struct OfModel<'a> {
    gpu: &'a Gpu,
    model: &'a Model,
}

impl<'a> OfModel<'a> {
    pub(super) fn new(gpu: &'a Gpu, model: &'a Model) -> Self {
        Self { gpu, model }
    }

    fn values(&self, parameter: &Parameter) -> Result<Vec<f32>> {
        let place = self.model.parameters().iter().position(|other| other.name == parameter.name);
        match place {
            Some(place) => Ok(self.model.weights[place].to_vec::<f32>()?),
            None => Err(Error::Request(format!("the model has no weight {}", parameter.name))),
        }
    }
}

impl Source for OfModel<'_> {
    fn half(&mut self, parameters: &[&Parameter]) -> Result<Tensor> {
        let device = Device::Gpu(self.gpu.clone());
        let mut tensor =
            Tensor::on_gpu(self.gpu, "weights", &stacked(parameters), DType::F16).map_err(named(parameters))?;
        let mut first = 0;
        for parameter in parameters {
            let halves = crate::folder::halves(&parameter.name, &self.values(parameter)?)?;
            let part = Tensor::new(&device, &[halves.len()], &halves)?;
            copy_range(&mut tensor, first, &part, 0, halves.len())?;
            first += halves.len();
        }
        Ok(tensor)
    }

    fn full(&mut self, parameters: &[&Parameter]) -> Result<Tensor> {
        let mut values = Vec::new();
        for parameter in parameters {
            values.extend(self.values(parameter)?);
        }
        Ok(Tensor::new(&Device::Gpu(self.gpu.clone()), &stacked(parameters), &values)?)
    }
}
