//! One optimizer step: forward and backward of each of its batches, update. Nothing in it waits for the device.

use std::collections::HashMap;

use gradus_engine::ops::arithmetic::add;
use gradus_engine::ops::optimizer::{AdamW, LossScaling, Optimizer, Parameter, Report, ReportReading};
use gradus_engine::ops::unary::scale;
use gradus_engine::tensor::Reading;
use gradus_engine::{Device, Tape, Tensor, Var};
use gradus_models::parameters::Role;
use gradus_models::{Documents, Model};

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

    /// Takes step `step` (from 1) on batches, after which `tokens` have been trained on. Loss and gradients are the means over
    /// the targets of all that count, as of one batch with all rows; activations are those of one batch at a time. A gradient
    /// that overflows in one of them is not finite in the sum either, so that the whole step is skipped.
    ///
    /// # Errors
    /// No batch; what the operations meet; a lost device with the step and the part of it.
    pub fn step(&mut self, step: u64, batches: &[Batch], tokens: u64, learning_rate: f64) -> Result<Taken> {
        let device = self.model.device();
        let mut gradients = vec![None; self.model.weights.len()];
        let mut sum: Option<Tensor> = None;
        let counted = batches.iter().map(Batch::counted).sum::<usize>().max(1);
        for batch in batches {
            // Exactly 1 for a batch alone, whose gradients then go their way unscaled.
            let share = if batches.len() == 1 { 1.0 } else { batch.counted() as f64 / counted as f64 };
            let tape = Tape::new();
            let leaves: Vec<Var> = self.model.weights.iter().map(|weight| tape.leaf(weight.clone())).collect();
            let loss = loss(&self.model, &leaves, batch).map_err(|error| error.at(&device, step, "forward"))?;
            let backward = |error: gradus_engine::Error| TrainerError::from(error).at(&device, step, "backward");
            self.backward(&tape, &leaves, (&loss, share), &mut gradients).map_err(backward)?;
            let loss = share_of(loss.into_tensor(), share).map_err(backward)?;
            sum = Some(match sum {
                None => loss,
                Some(sum) => add(&sum.into(), &loss.into()).map_err(backward)?.into_tensor(),
            });
            // The tape and its leaves, which hold clones of the weights, go here: those change in place only when nobody
            // else holds them.
        }
        let Some(loss) = sum else {
            return Err(TrainerError::Usage { message: format!("step {step} has no batch"), hint: None });
        };
        let at = |error: gradus_engine::Error| TrainerError::from(error).at(&device, step, "optimizer's step");
        let gradients = self.whole(gradients).map_err(at)?;
        self.optimizer.step(&mut self.model.weights, &gradients, learning_rate).map_err(at)?;
        let loss = loss.read().map_err(at)?;
        let report = self.optimizer.read_state().map_err(at)?;
        Ok(Taken { step, learning_rate, tokens, device, loss, report })
    }

    /// Adds the gradients of a batch, which is this share of the step, to the sums of those before.
    fn backward(
        &self,
        tape: &Tape,
        leaves: &[Var],
        (loss, share): (&Var, f64),
        sums: &mut [Option<Tensor>],
    ) -> gradus_engine::Result<()> {
        // From the loss scale instead of 1: the optimizer divides it out.
        let start = share_of(self.optimizer.loss_scale()?.reshaped(loss.sizes())?, share)?;
        // The gradient of ⟨leaf, sum⟩ is the sum: the tape goes on adding to it, in place where the kernels can.
        let earlier = leaves.iter().zip(&mut *sums).filter_map(|(leaf, sum)| Some((leaf.clone(), sum.take()?)));
        let seeds = [(loss.clone(), start)].into_iter().chain(earlier).collect();
        let mut gradients = tape.backward_from(seeds)?;
        for (leaf, sum) in leaves.iter().zip(sums) {
            *sum = gradients.take(leaf);
        }
        Ok(())
    }

    /// The gradients, with zeros for weights that the loss does not depend on.
    fn whole(&mut self, gradients: Vec<Option<Tensor>>) -> gradus_engine::Result<Vec<Tensor>> {
        let device = self.model.device();
        let gradient = |(place, gradient): (usize, Option<Tensor>)| match (gradient, self.zeros.get(&place)) {
            (Some(gradient), _) => Ok(gradient),
            (None, Some(zeros)) => Ok(zeros.clone()),
            (None, None) => {
                let zeros = Tensor::zeros(&device, self.model.weights[place].spec())?;
                self.zeros.insert(place, zeros.clone());
                Ok(zeros)
            }
        };
        gradients.into_iter().enumerate().map(gradient).collect()
    }
}

fn share_of(number: Tensor, share: f64) -> gradus_engine::Result<Tensor> {
    if share == 1.0 { Ok(number) } else { Ok(scale(&number.into(), share)?.into_tensor()) }
}

/// The mean loss of a batch, in nats a target that counts. `weights` are the model's, constants or leaves of a tape.
///
/// # Errors
/// What the operations meet; an allocation that the device refuses.
pub fn loss(model: &Model, weights: &[Var], batch: &Batch) -> Result<Var> {
    let (device, sizes) = (model.device(), [batch.batch, batch.context]);
    let [inputs, targets] = [&batch.inputs, &batch.targets].map(|tokens| Tensor::new(&device, &sizes, tokens));
    let documents = batch.first.as_ref().map(|first| Documents::new(model.configuration(), &device, sizes, first));
    Ok(model.loss_within(weights, &inputs?, &targets?, documents.transpose()?.as_ref())?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::configuration::Configuration;
    use gradus_engine::ops::linear_cross_entropy::IGNORED;
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
            let batch = Batch { batch: 1, context: 8, inputs: tokens(0), targets: tokens(5), first: None };
            learner.step(step, &[batch], 8 * step, 1e-3).unwrap().wait().unwrap().1
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

    fn learner(precision: Mode) -> Learner {
        let mut model = presets::find("llama-tiny").unwrap().model;
        (model.num_blocks, model.context_length) = (2, 16);
        let mut configuration = Configuration::for_model(model.clone());
        configuration.precision.mode = precision;
        let model = Model::new(model, &Device::cpu(), 5).unwrap();
        let optimizer = optimizer(&model, &configuration.optimizer, &configuration.precision).unwrap();
        Learner::new(model, optimizer)
    }

    /// Rows `from` to `to` of what step `step` trains on; no token is above 199.
    fn rows(step: u64, from: u64, to: u64) -> Batch {
        let tokens =
            |shift: u64| (from * 16..to * 16).map(|at| ((at * at * 7 + step * 11 + shift) % 200) as u32).collect();
        Batch { batch: (to - from) as usize, context: 16, inputs: tokens(0), targets: tokens(1), first: None }
    }

    #[test]
    fn batches_that_are_added_up_are_one_batch() {
        let (mut whole, mut parts) = (learner(Mode::F32), learner(Mode::F32));
        for step in 1..=4 {
            let (loss, report) = whole.step(step, &[rows(step, 0, 8)], 0, 1e-3).unwrap().wait().unwrap();
            let split: Vec<Batch> = (0..4).map(|part| rows(step, 2 * part, 2 * part + 2)).collect();
            let (loss_of_parts, report_of_parts) = parts.step(step, &split, 0, 1e-3).unwrap().wait().unwrap();
            assert!((loss / loss_of_parts - 1.0).abs() < 1e-6, "step {step}: {loss} {loss_of_parts}");
            let ratio = report.gradient_norm / report_of_parts.gradient_norm;
            assert!((ratio - 1.0).abs() < 1e-5, "step {step}: norms {ratio}");
            if step > 1 {
                continue;
            }
            // The first moment of the first step is a tenth of the clipped gradient.
            for place in 0..whole.optimizer.parameters().len() {
                let [whole, parts] = [&whole, &parts]
                    .map(|learner| learner.optimizer.moments(place).unwrap().first.to_vec::<f32>().unwrap());
                let largest = whole.iter().fold(0f32, |most, value| most.max(value.abs()));
                let worst = whole.iter().zip(&parts).fold(0f32, |most, (a, b)| most.max((a - b).abs()));
                assert!(largest > 0.0 && worst < 1e-5 * largest, "parameter {place}: {worst} of {largest}");
            }
        }
        // Where batches have fewer targets that count than others, it is still the mean over all of them.
        let mut all = rows(5, 0, 8);
        let mut split: Vec<Batch> = (0..4).map(|part| rows(5, 2 * part, 2 * part + 2)).collect();
        all.targets[32..90].fill(IGNORED);
        split[1].targets.fill(IGNORED);
        split[2].targets[..26].fill(IGNORED);
        let (loss, _) = whole.step(5, &[all], 0, 0.0).unwrap().wait().unwrap();
        let (loss_of_parts, _) = parts.step(5, &split, 0, 0.0).unwrap().wait().unwrap();
        assert!((loss / loss_of_parts - 1.0).abs() < 1e-4, "{loss} {loss_of_parts}");
        // Three of the four batches are another step: the comparison can fail.
        let split: Vec<Batch> = (0..3).map(|part| rows(6, 2 * part, 2 * part + 2)).collect();
        let (loss, _) = whole.step(6, &[rows(6, 0, 8)], 0, 1e-3).unwrap().wait().unwrap();
        let (other, _) = parts.step(6, &split, 0, 1e-3).unwrap().wait().unwrap();
        assert!((loss / other - 1.0).abs() > 1e-4, "{loss} {other}");
        assert!(whole.step(7, &[], 0, 1e-3).is_err());
    }

    #[test]
    fn one_batch_that_overflows_skips_the_whole_step() {
        let mut learner = learner(Mode::Mixed);
        // Token 200 stands in one batch alone.
        let width = learner.model.configuration().embedding_dim;
        learner.model.weights[0].write(200 * width, &[f32::INFINITY]).unwrap();
        let bits = |learner: &Learner| learner.model.weights[1].to_vec::<f32>().unwrap();
        let before = bits(&learner);
        let mut split: Vec<Batch> = (0..3).map(|part| rows(1, part, part + 1)).collect();
        split[1].inputs[3] = 200;
        let (_, report) = learner.step(1, &split, 0, 1e-3).unwrap().wait().unwrap();
        assert!(!report.finite && report.next_loss_scale == 0.5 * report.loss_scale, "{report:?}");
        assert_eq!(bits(&learner), before);
        split[1].inputs[3] = 0;
        let (_, report) = learner.step(2, &split, 0, 1e-3).unwrap().wait().unwrap();
        assert!(report.finite && report.applied == 1, "{report:?}");
        assert_ne!(bits(&learner), before);
    }
}
