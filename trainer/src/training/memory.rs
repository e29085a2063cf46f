//! How much memory a run needs, before it starts.

use gradus_engine::Device;
use gradus_models::configuration::{Architecture, ModelConfiguration};

use crate::configuration::Mode;
use crate::error::{Result, TrainerError};

const FLOAT: u64 = 4;
const HALF: u64 = 2;

/// Bytes of tensors of a training step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Plan {
    /// The weights.
    pub weights: u64,
    /// Their gradients.
    pub gradients: u64,
    /// The optimizer's two moments of each.
    pub moments: u64,
    /// What the forward keeps for the backward, and what the backward of the last block holds beside it.
    pub activations: u64,
}

impl Plan {
    /// The plan for training on `batch` sequences at a time.
    pub fn new(model: &ModelConfiguration, batch: usize, mode: Mode) -> Self {
        let weights = model.parameters().total() * FLOAT;
        Self { weights, gradients: weights, moments: 2 * weights, activations: activations(model, batch, mode) }
    }

    /// The most at once: on the way back activations go as gradients come, so that the larger of the two counts.
    pub fn total(&self) -> u64 {
        self.weights + self.moments + self.gradients.max(self.activations)
    }

    /// Compares with what the machine has, where it says so.
    ///
    /// # Errors
    /// [`TrainerError::Memory`] if it is not enough.
    pub fn check(&self, device: &Device) -> Result<()> {
        match free(device) {
            Some(have) if self.total() > have => Err(TrainerError::Memory { need: self.total(), have }),
            _ => Ok(()),
        }
    }
}

/// With every block's activations alive, the most is held in the backward of the last block's SwiGLU: the gradients of the
/// residual stream, of gate and of up projection; the gradient of their product has taken the place of the product. The
/// gradients of the head and of the down projection are there already.
fn activations(model: &ModelConfiguration, batch: usize, mode: Mode) -> u64 {
    let tokens = (batch * model.context_length) as u64;
    let [vocabulary, width, heads, groups, qk, v, inner] = [
        model.vocab_size,
        model.embedding_dim,
        model.num_heads,
        model.num_key_value_heads,
        model.qk_head_dim,
        model.v_head_dim,
        model.feed_forward_dim,
    ]
    .map(|size| size as u64);
    let half = if mode == Mode::Mixed { HALF } else { FLOAT };
    let mixing = match model.architecture {
        // Query, key; value, output gate, what passed it; f32 always: the cell's output, both gates and the denominator.
        Architecture::Xlstm => half * (2 * heads * qk + 3 * heads * v) + FLOAT * (heads * v + 3 * heads),
        // Query, key, value, the attention's output; f32 always: its two numbers that normalise a row.
        Architecture::Transformer => half * (heads * qk + groups * (qk + v) + heads * v) + FLOAT * 2 * heads,
    };
    // The residual stream before and after mixing, in f32; what each norm gives; gate, up projection and their product.
    let block = FLOAT * 2 * width + half * 2 * width + mixing + half * 3 * inner;
    let backward = FLOAT * width + half * 2 * inner;
    tokens * (model.num_blocks as u64 * block + backward) + FLOAT * width * (vocabulary + inner)
}

/// Bytes free for tensors, where the system says so: of the CPU's memory, on Linux.
fn free(device: &Device) -> Option<u64> {
    if device.is_gpu() {
        return None;
    }
    let text = std::fs::read_to_string("/proc/meminfo").ok()?;
    let line = text.lines().find(|line| line.starts_with("MemAvailable:"))?;
    let kibibytes: u64 = line.split_whitespace().nth(1)?.parse().ok()?;
    Some(kibibytes * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::configuration::Configuration;
    use crate::data::Batch;
    use crate::training::step::{Learner, optimizer};
    use gradus_models::Model;
    use gradus_models::configuration::presets;

    #[test]
    fn the_plan_is_within_a_tenth_of_what_is_measured() {
        for (name, batch, context) in
            [("xlstm-tiny", 8, 256), ("xlstm-tiny", 2, 64), ("llama-tiny", 4, 256), ("llama-tiny", 1, 16)]
        {
            let device = Device::cpu();
            let mut configuration = Configuration::for_model(presets::find(name).unwrap().model);
            configuration.model.context_length = context;
            let model = Model::new(configuration.model.clone(), &device, 0).unwrap();
            let optimizer = optimizer(&model, &configuration.optimizer, &configuration.precision).unwrap();
            let mut learner = Learner::new(model, optimizer);
            let tokens = vec![7; batch * context];
            let batch = Batch { inputs: tokens.clone(), targets: tokens, batch, context };
            for step in 1..=2 {
                learner.step(step, &batch, 0, 1e-3).unwrap().wait().unwrap();
            }
            let planned = Plan::new(&configuration.model, batch.batch, Mode::F32).total() as f64;
            let measured = device.memory().1 as f64;
            println!("{name} {context}: planned / measured = {:.4}", planned / measured);
            assert!((planned / measured - 1.0).abs() < 0.1, "{name}: {planned} planned, {measured} measured");
        }
    }

    #[test]
    fn more_than_the_machine_has_is_refused() {
        let plan = Plan { weights: 1 << 60, gradients: 0, moments: 0, activations: 0 };
        match free(&Device::cpu()) {
            Some(_) => assert!(plan.check(&Device::cpu()).unwrap_err().to_string().contains("needs 1048576 TiB")),
            None => assert!(plan.check(&Device::cpu()).is_ok()),
        }
    }
}
