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
//! No step waits for the device: what a step decides (finite or not, the clip coefficient, t) stays in the [step
//! state](state) there, and the host fetches it when it wants, a step late for instance.

mod cpu;
mod gpu;
mod state;
#[cfg(test)]
mod tests;

pub use state::{Report, ReportReading};

use crate::device::Device;
use crate::error::{Error, Result};
use crate::tensor::{Spec, Tensor};

const NAME: &str = "optimizer";

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
    moments: Vec<Moments>,
    step: u64,
    loss_scale: f64,
    state: State,
}

/// The step state and what else a device needs between steps.
#[derive(Debug)]
enum State {
    Cpu(Report),
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
        let moments = moments.collect::<Result<Vec<_>>>()?;
        let state = match device {
            Device::Cpu(_) => State::Cpu(Report::default()),
            Device::Gpu(gpu) => State::Gpu(gpu::Buffers::new(gpu, &parameters)?),
        };
        Ok(Self { device: device.clone(), options, parameters, moments, step: 0, loss_scale: 1.0, state })
    }

    /// The tensors, in order.
    pub fn parameters(&self) -> &[Parameter] {
        &self.parameters
    }

    /// The moments, in the order of the parameters.
    pub fn moments(&self) -> &[Moments] {
        &self.moments
    }

    /// Steps taken, applied or not.
    pub fn steps(&self) -> u64 {
        self.step
    }

    /// From the next step on, gradients are those of `loss_scale` times the loss: they are divided by it.
    ///
    /// # Errors
    /// A scale that is not over 0 and finite.
    pub fn set_loss_scale(&mut self, loss_scale: f64) -> Result<()> {
        if !(loss_scale > 0.0 && loss_scale.is_finite()) {
            return Err(Error::shape(NAME, format!("a loss scale of {loss_scale}: it must be over 0 and finite")));
        }
        self.loss_scale = loss_scale;
        Ok(())
    }

    /// One step: changes `weights` and the moments in place if all gradients are finite.
    ///
    /// # Errors
    /// Another number of tensors, other shapes, types or devices than the parameters, weights that something else still
    /// holds (a tape, a clone), a learning rate that is negative or not finite.
    pub fn step(&mut self, weights: &mut [Tensor], gradients: &[Tensor], learning_rate: f64) -> Result<()> {
        self.check_step(weights, gradients, learning_rate)?;
        let step = self.step + 1;
        let scalars = state::Scalars { step, learning_rate, loss_scale: self.loss_scale };
        match (&mut self.state, &self.device) {
            (State::Cpu(report), _) => {
                cpu::step(report, scalars, &self.options, &self.parameters, weights, gradients, &mut self.moments)?;
            }
            (State::Gpu(buffers), Device::Gpu(gpu)) => {
                let tensors = gpu::Tensors { weights, gradients, moments: &self.moments };
                gpu::step(gpu, buffers, scalars, &self.options, &self.parameters, &tensors)?;
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
            State::Cpu(report) => Ok(ReportReading::Ready(report.clone())),
            State::Gpu(buffers) => buffers.read(),
        }
    }

    /// Puts back what a checkpoint kept: steps taken, steps applied and the moments, in the order of the parameters.
    /// Training goes on with the same bits.
    ///
    /// # Errors
    /// Moments of other shapes or types, more steps applied than taken, a fault of the device.
    pub fn restore(&mut self, steps: u64, applied: u64, moments: Vec<Moments>) -> Result<()> {
        if applied > steps || steps > u64::from(u32::MAX) {
            return Err(Error::shape(NAME, format!("{applied} steps applied of {steps} taken cannot be")));
        }
        if moments.len() != self.parameters.len() {
            return Err(Error::shape(
                NAME,
                format!("{} pairs of moments were given for {} parameters", moments.len(), self.parameters.len()),
            ));
        }
        let mut restored = Vec::with_capacity(moments.len());
        for (parameter, moments) in self.parameters.iter().zip(moments) {
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
            // Copies, which nobody else holds: they change in place.
            restored.push(Moments {
                first: owned(&self.device, &moments.first)?,
                second: owned(&self.device, &moments.second)?,
            });
        }
        let report = Report { step: steps, applied, ..Report::default() };
        match &mut self.state {
            State::Cpu(state) => *state = report,
            State::Gpu(buffers) => buffers.write(&report)?,
        }
        self.moments = restored;
        self.step = steps;
        Ok(())
    }
}

fn check_parameter(device: &Device, parameter: &Parameter) -> Result<()> {
    use crate::DType;
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
        crate::DType::F64 => Tensor::new(device, tensor.sizes(), &tensor.to_vec::<f64>()?),
        _ => Tensor::new(device, tensor.sizes(), &tensor.to_vec::<f32>()?),
    }
}
