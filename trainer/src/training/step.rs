//! One optimizer step: forward, backward, update. Nothing in it waits for the device.

use std::collections::HashMap;

use gradus_engine::ops::optimizer::{AdamW, LossScaling, Optimizer, Parameter, Report, ReportReading};
use gradus_engine::tensor::Reading;
use gradus_engine::{Device, Tape, Tensor, Var};
use gradus_models::Model;
use gradus_models::parameters::Role;

use crate::configuration::{self, Mode};
use crate::data::Batch;
use crate::error::{Result, TrainerError};

/// A model that is trained.
#[derive(Debug)]
pub struct Learner {
    /// The model.
    pub model: Model,
    /// Its optimizer.
    pub optimizer: Optimizer,
    /// Gradients of weights that the loss does not depend on, by their place.
    zeros: HashMap<usize, Tensor>,
}

/// A step whose results are on their way.
pub struct Taken {
    /// The step, from 1.
    pub step: u64,
    /// Its learning rate.
    pub learning_rate: f64,
    /// Tokens trained on with this step.
    pub tokens: u64,
    device: Device,
    loss: Reading<f32>,
    report: ReportReading,
}

impl Taken {
    /// Waits for the loss, in nats a token, and for what the optimizer found.
    ///
    /// # Errors
    /// A fault of the device.
    pub fn wait(self) -> Result<(f64, Report)> {
        let at =
            |error: gradus_engine::Error| TrainerError::from(error).at(&self.device, self.step, "reading of the loss");
        let loss = self.loss.wait().map_err(at)?;
        let report = self.report.wait().map_err(at)?;
        Ok((loss.first().map_or(f64::NAN, |loss| f64::from(*loss)), report))
    }
}

/// The optimizer of a model: weight decay on matrices alone, and a dynamic loss scale in mixed precision.
///
/// # Errors
/// Constants out of range, and an allocation that the device refuses.
pub fn optimizer(
    model: &Model,
    options: &configuration::Optimizer,
    precision: &configuration::Precision,
) -> Result<Optimizer> {
    let parameter = |(parameter, weight): (&gradus_models::parameters::Parameter, &Tensor)| Parameter {
        name: parameter.name.clone(),
        spec: weight.spec(),
        weight_decay: if parameter.role == Role::Matrix { options.weight_decay } else { 0.0 },
    };
    let constants = AdamW {
        beta1: options.beta1,
        beta2: options.beta2,
        epsilon: options.epsilon,
        max_norm: Some(options.gradient_clip),
    };
    let parameters = model.parameters().iter().zip(&model.weights).map(parameter).collect();
    let mut optimizer = Optimizer::new(&model.device(), parameters, constants)?;
    optimizer.set_loss_scaling(match precision.mode {
        Mode::F32 => LossScaling::Constant(1.0),
        Mode::Mixed => {
            LossScaling::Dynamic { initial: precision.initial_loss_scale, interval: precision.loss_scale_interval }
        }
    })?;
    Ok(optimizer)
}

impl Learner {
    /// A model with its optimizer.
    pub fn new(model: Model, optimizer: Optimizer) -> Self {
        Self { model, optimizer, zeros: HashMap::new() }
    }

    /// Takes step `step` (from 1) on a batch, after which `tokens` have been trained on.
    ///
    /// # Errors
    /// What the operations meet; a lost device with the step and the part of it.
    pub fn step(&mut self, step: u64, batch: &Batch, tokens: u64, learning_rate: f64) -> Result<Taken> {
        let device = self.model.device();
        let tape = Tape::new();
        let leaves: Vec<Var> = self.model.weights.iter().map(|weight| tape.leaf(weight.clone())).collect();
        let loss = self.forward(&leaves, batch).map_err(|error| error.at(&device, step, "forward"))?;
        let gradients = self
            .backward(&tape, leaves, &loss)
            .map_err(|error| TrainerError::from(error).at(&device, step, "backward"))?;
        let loss = loss.into_tensor();
        // The tape holds clones of the weights, which change in place only when nobody else holds them.
        drop(tape);
        let at = |error: gradus_engine::Error| TrainerError::from(error).at(&device, step, "optimizer's step");
        self.optimizer.step(&mut self.model.weights, &gradients, learning_rate).map_err(at)?;
        let loss = loss.read().map_err(at)?;
        let report = self.optimizer.read_state().map_err(at)?;
        Ok(Taken { step, learning_rate, tokens, device, loss, report })
    }

    fn forward(&self, leaves: &[Var], batch: &Batch) -> Result<Var> {
        let (inputs, targets) = tensors(&self.model, batch)?;
        Ok(self.model.loss(leaves, &inputs, &targets)?)
    }

    fn backward(&mut self, tape: &Tape, leaves: Vec<Var>, loss: &Var) -> gradus_engine::Result<Vec<Tensor>> {
        // From the loss scale instead of 1: the optimizer divides it out.
        let scale = self.optimizer.loss_scale()?.reshaped(loss.sizes())?;
        let mut gradients = tape.backward_from(vec![(loss.clone(), scale)])?;
        let device = self.model.device();
        let gradient = |(place, leaf): (usize, &Var)| match gradients.take(leaf) {
            Some(gradient) => Ok(gradient),
            None => match self.zeros.get(&place) {
                Some(zeros) => Ok(zeros.clone()),
                None => {
                    let zeros = Tensor::zeros(&device, leaf.tensor().spec())?;
                    self.zeros.insert(place, zeros.clone());
                    Ok(zeros)
                }
            },
        };
        leaves.iter().enumerate().map(gradient).collect()
    }
}

/// A batch on the model's device: inputs and targets, `[batch, context]`.
///
/// # Errors
/// An allocation that the device refuses.
pub fn tensors(model: &Model, batch: &Batch) -> Result<(Tensor, Tensor)> {
    let device = model.device();
    let sizes = [batch.batch, batch.context];
    Ok((Tensor::new(&device, &sizes, &batch.inputs)?, Tensor::new(&device, &sizes, &batch.targets)?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::configuration::Configuration;
    use gradus_models::configuration::presets;

    /// The weights after some steps in a mode of precision, which the model itself does not know of here.
    fn trained(mode: Mode) -> (Vec<Vec<u32>>, Vec<Report>) {
        let mut model = presets::find("llama-tiny").unwrap().model;
        (model.num_blocks, model.context_length) = (1, 8);
        let mut configuration = Configuration::for_model(model.clone());
        configuration.precision.mode = mode;
        configuration.precision.initial_loss_scale = 4096.0;
        configuration.precision.loss_scale_interval = 2;
        let model = Model::new(model, &Device::cpu(), 3).unwrap();
        let optimizer = optimizer(&model, &configuration.optimizer, &configuration.precision).unwrap();
        let mut learner = Learner::new(model, optimizer);
        let reports = (1..=4).map(|step| {
            let tokens = |shift: u64| (0..8).map(|at| ((at * 37 + step * 11 + shift) % 256) as u32).collect::<Vec<_>>();
            let batch = Batch { batch: 1, context: 8, inputs: tokens(0), targets: tokens(5) };
            learner.step(step, &batch, 8 * step, 1e-3).unwrap().wait().unwrap().1
        });
        let reports = reports.collect();
        let bits = |weight: &Tensor| weight.to_vec::<f32>().unwrap().into_iter().map(f32::to_bits).collect();
        (learner.model.weights.iter().map(bits).collect(), reports)
    }

    #[test]
    fn a_loss_scale_of_a_power_of_two_changes_no_bit_of_the_weights() {
        let ((plain, without), (scaled, with)) = (trained(Mode::F32), trained(Mode::Mixed));
        assert_eq!(plain, scaled);
        let scales = |reports: &[Report]| reports.iter().map(|report| report.loss_scale).collect::<Vec<_>>();
        assert_eq!(scales(&without), [1.0; 4]);
        assert_eq!(scales(&with), [4096.0, 4096.0, 8192.0, 8192.0]);
        let norms = |reports: &[Report]| reports.iter().map(|report| report.gradient_norm).collect::<Vec<_>>();
        assert_eq!(norms(&without), norms(&with));
    }
}
