//! The optimizer: the norm of all gradients, clipping, and AdamW with decoupled weight decay, in place.
//!
//! With g the gradients of all tensors together, s the loss scale, t the number of steps applied so far and this one:
//!
//! ```text
//! norm = ‖g‖ / s                  clip = min(1, max_norm / (norm + 1e-6))
//! w ← w − η·λ·w                   ĝ = g · clip / s
//! m ← β₁·m + (1 − β₁)·ĝ           v ← β₂·v + (1 − β₂)·ĝ²
//! w ← w − η · (m / (1 − β₁ᵗ)) / (√(v / (1 − β₂ᵗ)) + ε)
//! ```
//!
//! (Loshchilov and Hutter, "Decoupled Weight Decay Regularization", 2019; λ is a tensor's own.) A step with a gradient that
//! is not finite changes nothing but the step state, which says so and names the first such tensor, and does not count in t.
//!
//! The loss scale keeps small gradients of f16 tensors above that type's smallest numbers: the backward starts from
//! [`Optimizer::loss_scale`], a tensor on the device, in place of 1. A [dynamic](LossScaling) one halves after a step that was
//! not applied and doubles after so many in a row that were (Micikevicius et al., "Mixed Precision Training", 2018).
//!
//! No step waits for the device: what a step decides (finite or not, the clip coefficient, t, the next loss scale) stays in the [step
//! state](state) there, and the host fetches it when it wants, a step late for instance.

mod cpu;
mod gpu;
mod state;
#[cfg(test)]
mod tests;

pub use state::{Report, ReportReading, Standing};

use crate::DType;
use crate::device::Device;
use crate::error::{Error, Result};
use crate::tensor::{Spec, Tensor};

const NAME: &str = "optimizer";

/// A dynamic loss scale never falls below this.
pub const LEAST_SCALE: f64 = 1.0;
/// A dynamic loss scale never rises above this.
pub const MOST_SCALE: f64 = 16_777_216.0;

/// The constants of AdamW and of clipping.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct AdamW {
    /// β₁, the decay of the mean of gradients.
    pub beta1: f64,
    /// β₂, the decay of the mean of their squares.
    pub beta2: f64,
    /// ε, added to the root of the mean square.
    pub epsilon: f64,
    /// The norm of all gradients together is clipped to this; `None` never clips.
    pub max_norm: Option<f64>,
}

impl Default for AdamW {
    /// β₁ = 0.9, β₂ = 0.95, ε = 1e-8, norms over 1 are clipped: the usual choice for language models.
    fn default() -> Self {
        Self { beta1: 0.9, beta2: 0.95, epsilon: 1e-8, max_norm: Some(1.0) }
    }
}

/// The factor that the loss comes with, so that small gradients are not lost in f16. It is divided out of the gradients
/// before anything else is done with them.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum LossScaling {
    /// Always the same; 1 for none.
    Constant(f64),
    /// Halved after a step with a gradient that is not finite, but never below 1; doubled, to at most 2^24, after so many
    /// applied steps in a row. A power of two leaves no rounding.
    Dynamic {
        /// The first factor, from 1 to 2^24.
        initial: f64,
        /// Applied steps in a row after which it doubles.
        interval: u64,
    },
}

/// A tensor that is trained.
#[derive(Debug, Clone, PartialEq)]
pub struct Parameter {
    /// Its name, for messages and checkpoints.
    pub name: String,
    /// Its shape and type.
    pub spec: Spec,
    /// λ, its weight decay.
    pub weight_decay: f64,
}

/// The first and second moments of one tensor.
#[derive(Debug, Clone)]
pub struct Moments {
    /// m, the running mean of gradients.
    pub first: Tensor,
    /// v, the running mean of their squares.
    pub second: Tensor,
}

/// AdamW for a list of tensors, whose moments it owns.
#[derive(Debug)]
pub struct Optimizer {
    device: Device,
    options: AdamW,
    parameters: Vec<Parameter>,
    step: u64,
    /// Applied steps in a row after which the loss scale doubles; 0 for a constant one.
    interval: u64,
    state: State,
}

/// The step state, the moments, and what else a device needs between steps.
#[derive(Debug)]
enum State {
    Cpu(Report, Vec<Moments>),
    Gpu(gpu::Buffers),
}

impl Optimizer {
    /// An optimizer with moments of zero.
    ///
    /// # Errors
    /// Constants out of range (0 ≤ β < 1, ε > 0, max_norm > 0, weight decay ≥ 0), types other than f32 (f64 on the CPU),
    /// no parameters, an allocation that the device refuses.
    pub fn new(device: &Device, parameters: Vec<Parameter>, options: AdamW) -> Result<Self> {
        let beta = |beta: f64| (0.0..1.0).contains(&beta);
        let positive = |value: f64| value > 0.0 && value.is_finite();
        if !beta(options.beta1) || !beta(options.beta2) || !positive(options.epsilon) {
            return Err(Error::shape(NAME, format!("{options:?}: needs 0 ≤ beta < 1 and epsilon > 0")));
        }
        if options.max_norm.is_some_and(|norm| !positive(norm)) {
            return Err(Error::shape(NAME, format!("{options:?}: max_norm must be over 0, or none at all")));
        }
        for parameter in &parameters {
            check_parameter(device, parameter)?;
        }
        let moments = parameters.iter().map(|parameter| {
            let zeros = || Tensor::zeros(device, parameter.spec);
            Ok(Moments { first: zeros()?, second: zeros()? })
        });
        let state = match device {
            Device::Cpu(_) => State::Cpu(Report::default(), moments.collect::<Result<_>>()?),
            Device::Gpu(gpu) => State::Gpu(gpu::Buffers::new(gpu, &parameters)?),
        };
        Ok(Self { device: device.clone(), options, parameters, step: 0, interval: 0, state })
    }

    /// The tensors, in order.
    pub fn parameters(&self) -> &[Parameter] {
        &self.parameters
    }

    /// The moments of the parameter at `place`. On a GPU those of a small tensor are copies, made for this.
    ///
    /// # Errors
    /// No such parameter; an allocation that the device refuses.
    pub fn moments(&self, place: usize) -> Result<Moments> {
        let missing = || Error::shape(NAME, format!("there is no parameter {place} of {}", self.parameters.len()));
        let spec = self.parameters.get(place).ok_or_else(missing)?.spec;
        match &self.state {
            State::Cpu(_, moments) => moments.get(place).cloned().ok_or_else(missing),
            State::Gpu(buffers) => buffers.moments(place, spec),
        }
    }

    /// Steps taken, applied or not.
    pub fn steps(&self) -> u64 {
        self.step
    }

    /// From the next step on, gradients are those of so many times the loss.
    ///
    /// # Errors
    /// A scale that is not over 0 and finite, or as a dynamic one not from 1 to 2^24; an interval of 0.
    pub fn set_loss_scaling(&mut self, scaling: LossScaling) -> Result<()> {
        let (scale, interval) = match scaling {
            LossScaling::Constant(scale) if scale > 0.0 && scale.is_finite() => (scale, 0),
            LossScaling::Dynamic { initial, interval }
                if (LEAST_SCALE..=MOST_SCALE).contains(&initial) && (1..=u64::from(u32::MAX)).contains(&interval) =>
            {
                (initial, interval)
            }
            _ => {
                let message = "needs a scale over 0 and finite, or as a dynamic one from 1 to 2^24 with an interval";
                return Err(Error::shape(NAME, format!("{scaling:?}: {message}")));
            }
        };
        self.interval = interval;
        // As the device keeps it.
        let scale = f64::from(scale as f32);
        match &mut self.state {
            State::Cpu(report, _) => (report.next_loss_scale, report.in_a_row) = (scale, 0),
            State::Gpu(buffers) => buffers.set_scale(scale, 0)?,
        }
        Ok(())
    }

    /// The loss scale of the next step, a tensor \[1\] on the device: the gradient of the loss that the next backward
    /// starts from, in `Tape::backward_from(vec![(loss, optimizer.loss_scale()?)])`. Take it anew for every step.
    ///
    /// # Errors
    /// An allocation that the device refuses.
    pub fn loss_scale(&self) -> Result<Tensor> {
        match &self.state {
            State::Cpu(report, _) if self.parameters.iter().any(|parameter| parameter.spec.dtype == DType::F64) => {
                Tensor::new(&self.device, &[1], &[report.next_loss_scale])
            }
            State::Cpu(report, _) => Tensor::new(&self.device, &[1], &[report.next_loss_scale as f32]),
            State::Gpu(buffers) => Ok(buffers.scale()),
        }
    }

    /// One step: changes `weights` and the moments in place if all gradients are finite.
    ///
    /// # Errors
    /// Another number of tensors, other shapes, types or devices than the parameters, weights that something else still
    /// holds (a tape, a clone), a learning rate that is negative or not finite.
    pub fn step(&mut self, weights: &mut [Tensor], gradients: &[Tensor], learning_rate: f64) -> Result<()> {
        self.check_step(weights, gradients, learning_rate)?;
        let step = self.step + 1;
        let scalars = state::Scalars { step, learning_rate };
        let (options, interval, parameters) = (&self.options, self.interval, &self.parameters);
        match (&mut self.state, &self.device) {
            (State::Cpu(report, moments), _) => {
                cpu::step(report, scalars, (options, interval), parameters, weights, gradients, moments)?;
            }
            (State::Gpu(buffers), Device::Gpu(gpu)) => {
                let tensors = gpu::Tensors { weights, gradients };
                gpu::step(gpu, buffers, scalars, (options, interval), parameters, &tensors)?;
            }
            (State::Gpu(_), Device::Cpu(_)) => return Err(Error::device(NAME, "its state is on another device")),
        }
        self.step = step;
        Ok(())
    }

    fn check_step(&mut self, weights: &mut [Tensor], gradients: &[Tensor], learning_rate: f64) -> Result<()> {
        if !(learning_rate >= 0.0 && learning_rate.is_finite()) {
            return Err(Error::shape(
                NAME,
                format!("a learning rate of {learning_rate}: it must be finite and not below 0"),
            ));
        }
        if weights.len() != self.parameters.len() || gradients.len() != self.parameters.len() {
            return Err(Error::shape(
                NAME,
                format!(
                    "{} weights and {} gradients were given for {} parameters",
                    weights.len(),
                    gradients.len(),
                    self.parameters.len()
                ),
            ));
        }
        for ((parameter, weight), gradient) in self.parameters.iter().zip(weights).zip(gradients) {
            for (what, tensor) in [("weight", &*weight), ("gradient", gradient)] {
                if tensor.spec() != parameter.spec || tensor.device() != self.device {
                    return Err(Error::shape(
                        NAME,
                        format!(
                            "the {what} of {} is {tensor:?}, expected {} {:?} on the optimizer's device",
                            parameter.name, parameter.spec.dtype, parameter.spec.shape
                        ),
                    ));
                }
            }
            weight.exclusive(NAME)?;
        }
        Ok(())
    }

    /// Starts to read what the last step found; fetch it when it is wanted, so that the device is not waited for.
    ///
    /// # Errors
    /// A fault of the device.
    pub fn read_state(&self) -> Result<ReportReading> {
        match &self.state {
            State::Cpu(report, _) => Ok(ReportReading::Ready(report.clone())),
            State::Gpu(buffers) => buffers.read(),
        }
    }

    /// Puts back what a checkpoint kept: where training stood and the moments, in the order of the parameters. Training goes
    /// on with the same bits. Loss scaling is set before.
    ///
    /// # Errors
    /// Moments of other shapes or types, more steps applied than taken, a loss scale that cannot be, a fault of the device.
    pub fn restore(&mut self, standing: Standing, moments: Vec<Moments>) -> Result<()> {
        let Standing { steps, applied, loss_scale, in_a_row } = standing;
        if applied > steps || in_a_row > applied || steps > u64::from(u32::MAX) {
            return Err(Error::shape(
                NAME,
                format!("{applied} steps applied of {steps} taken cannot be, or {standing:?}"),
            ));
        }
        let possible = if self.interval > 0 { LEAST_SCALE..=MOST_SCALE } else { f64::MIN_POSITIVE..=f64::MAX };
        if !possible.contains(&loss_scale) {
            return Err(Error::shape(NAME, format!("a loss scale of {loss_scale} cannot be")));
        }
        if moments.len() != self.parameters.len() {
            return Err(Error::shape(
                NAME,
                format!("{} pairs of moments were given for {} parameters", moments.len(), self.parameters.len()),
            ));
        }
        for (parameter, moments) in self.parameters.iter().zip(&moments) {
            for tensor in [&moments.first, &moments.second] {
                if tensor.spec() != parameter.spec {
                    return Err(Error::shape(
                        NAME,
                        format!(
                            "a moment of {} is {tensor:?}, expected {} {:?}",
                            parameter.name, parameter.spec.dtype, parameter.spec.shape
                        ),
                    ));
                }
            }
        }
        let report = Report::at(standing);
        match &mut self.state {
            State::Cpu(state, kept) => {
                // Copies, which nobody else holds: they change in place.
                let copy = |moments: &Moments| {
                    let owned = |tensor| owned(&self.device, tensor);
                    Ok(Moments { first: owned(&moments.first)?, second: owned(&moments.second)? })
                };
                *kept = moments.iter().map(copy).collect::<Result<_>>()?;
                *state = report;
            }
            State::Gpu(buffers) => buffers.restore(&report, &moments)?,
        }
        self.step = steps;
        Ok(())
    }
}

fn check_parameter(device: &Device, parameter: &Parameter) -> Result<()> {
    let known = match device {
        Device::Cpu(_) => matches!(parameter.spec.dtype, DType::F32 | DType::F64),
        Device::Gpu(_) => parameter.spec.dtype == DType::F32,
    };
    if !known {
        return Err(Error::dtype(
            NAME,
            format!("{} is {}: weights are f32 (on the CPU also f64)", parameter.name, parameter.spec.dtype),
        ));
    }
    if !(parameter.weight_decay >= 0.0 && parameter.weight_decay.is_finite()) {
        return Err(Error::shape(
            NAME,
            format!(
                "a weight decay of {} for {}: it must be finite and not below 0",
                parameter.weight_decay, parameter.name
            ),
        ));
    }
    Ok(())
}

/// A copy of `tensor` on `device` that shares no buffer.
fn owned(device: &Device, tensor: &Tensor) -> Result<Tensor> {
    match tensor.dtype() {
        DType::F64 => Tensor::new(device, tensor.sizes(), &tensor.to_vec::<f64>()?),
        _ => Tensor::new(device, tensor.sizes(), &tensor.to_vec::<f32>()?),
    }
}
