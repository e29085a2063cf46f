//! One optimizer step: forward, backward, update. Nothing in it waits for the device.

use std::collections::HashMap;

use gradus_engine::ops::optimizer::{AdamW, Optimizer, Parameter, Report, ReportReading};
use gradus_engine::tensor::Reading;
use gradus_engine::{Device, Tape, Tensor, Var};
use gradus_models::Model;
use gradus_models::parameters::Role;

use crate::configuration;
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

/// The optimizer of a model: weight decay on matrices alone.
///
/// # Errors
/// Constants out of range, and an allocation that the device refuses.
pub fn optimizer(model: &Model, options: &configuration::Optimizer) -> Result<Optimizer> {
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
    Ok(Optimizer::new(&model.device(), parameters, constants)?)
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
        let mut gradients = tape.backward(loss)?;
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
