//! How much memory a run needs, before it starts.

use gradus_engine::Device;
use gradus_models::configuration::{Architecture, ModelConfiguration};

use crate::error::{Result, TrainerError};

const FLOAT: u64 = 4;

/// Bytes of tensors at the highest point of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Plan {
    /// The weights.
    pub weights: u64,
    /// Their gradients.
    pub gradients: u64,
    /// The optimizer's two moments of each.
    pub moments: u64,
    /// What the forward keeps for the backward, and what the backward holds beside it.
    pub activations: u64,
}

impl Plan {
    /// The plan for training on `batch` sequences at a time.
    pub fn new(model: &ModelConfiguration, batch: usize) -> Self {
        let weights = model.parameters().total() * FLOAT;
        Self { weights, gradients: weights, moments: 2 * weights, activations: activations(model, batch) }
    }

    /// All of it.
    pub fn total(&self) -> u64 {
        self.weights + self.gradients + self.moments + self.activations
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

/// Floats that the forward of one token keeps for the backward, and the most that the backward holds beside them.
fn activations(model: &ModelConfiguration, batch: usize) -> u64 {
    let tokens = (batch * model.context_length) as u64;
    let [width, heads, groups, qk, v, inner] = [
        model.embedding_dim,
        model.num_heads,
        model.num_key_value_heads,
        model.qk_head_dim,
        model.v_head_dim,
        model.feed_forward_dim,
    ]
    .map(|size| size as u64);
    let mixing = match model.architecture {
        // Query and key; value, output gate, cell output and gated output; gates before and after their caps.
        Architecture::Xlstm => 2 * heads * qk + 4 * heads * v + 8 * heads,
        // Query and key before and after they are turned, value, attention's output, its log-sum-exp.
        Architecture::Transformer => heads * qk + groups * (qk + v) + heads * v + heads,
    };
    // The residual stream before and after mixing, and what each norm gives; gate, up projection and their product.
    let block = 4 * width + mixing + 3 * inner;
    let states = match model.architecture {
        Architecture::Xlstm => {
            let chunks = (batch * model.context_length.div_ceil(model.chunk_size)) as u64;
            model.num_blocks as u64 * chunks * heads * (qk * v + qk + 1)
        }
        Architecture::Transformer => 0,
    };
    // The head keeps the gradient of the hidden states; on the way back a block holds the gradients of its widest layers.
    let backward = 2 * width + 3 * inner;
    FLOAT * (tokens * (model.num_blocks as u64 * block + 2 * width + backward) + states)
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
