//! How much memory a run needs, before it starts.

use gradus_engine::DType;
use gradus_engine::ops::linear_cross_entropy::rows_per_block;
use gradus_models::configuration::{Architecture, ModelConfiguration};

use crate::configuration::{Configuration, Mode};

const FLOAT: u64 = 4;
const HALF: u64 = 2;

/// Bytes of tensors of a training step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Plan {
    /// The weights.
    pub weights: u64,
    /// The optimizer's two moments of each.
    pub moments: u64,
    /// Of the weights' gradients, those that are there when the most is, which is on the way back.
    pub gradients: u64,
    /// What the forward has kept by then.
    pub activations: u64,
    /// What comes and goes with the operations: a block of logits, gradients of the activations in hand, and with accumulation
    /// those of one batch and their new sums.
    pub workspace: u64,
    /// The largest tensor.
    pub largest: u64,
}

impl Plan {
    /// The plan for a run.
    pub fn new(configuration: &Configuration) -> Self {
        let weights = configuration.model.parameters().total() * FLOAT;
        let WayBack { gradients, activations, workspace } = WayBack::new(configuration);
        Self { weights, moments: 2 * weights, gradients, activations, workspace, largest: largest(configuration) }
    }

    /// The most at once.
    pub fn total(&self) -> u64 {
        self.weights + self.moments + self.of_step()
    }

    /// What is there within a step alone.
    pub fn of_step(&self) -> u64 {
        self.gradients + self.activations + self.workspace
    }
}

/// What there is on the way back at one moment.
#[derive(Clone, Copy)]
struct WayBack {
    gradients: u64,
    activations: u64,
    workspace: u64,
}

impl WayBack {
    /// The moment of the most. What is kept goes block by block as gradients come, so that it is at one of the ends: in the
    /// head with its loss, in the backward of the last block's SwiGLU, in that of the first's, or when all gradients are there.
    /// With gradient checkpointing all blocks but the one in hand keep their inputs alone.
    fn new(configuration: &Configuration) -> Self {
        let model = &configuration.model;
        let tokens = configuration.tokens_per_batch() as u64;
        let [blocks, vocabulary, width, inner] =
            [model.num_blocks, model.vocab_size, model.embedding_dim, model.feed_forward_dim].map(|size| size as u64);
        let counts = model.parameters();
        let all = FLOAT * counts.total();
        let of_block = FLOAT * (counts.total() - counts.embedding - counts.output_head - width) / blocks;
        let Block { kept, backward } = Block::new(model, configuration.precision.mode);
        let others = if configuration.train.gradient_checkpointing { FLOAT * width } else { kept };
        // A block's down projection has its gradient before SwiGLU's backward; the head's comes first of all.
        let down = FLOAT * width * inner;
        let head = FLOAT * width * vocabulary;
        let forward = tokens * ((blocks - 1) * others + kept);
        let in_hand = tokens * backward;
        // The head's forward has a block of logits, and beside its gradient of the weight that of its input, and the input; its
        // backward both gradients twice.
        let half = if configuration.precision.mode == Mode::Mixed { HALF } else { FLOAT };
        let logits = FLOAT * vocabulary * rows_per_block(tokens as usize, model.vocab_size, DType::F32) as u64;
        let of_head = logits.max(head) + 2 * half * width * tokens;
        if configuration.train.accumulation > 1 {
            // All sums of gradients are there from the second batch on. Beside that of the head, and last of the embedding,
            // stand the gradient that it gets and the new sum; down projections join theirs in the same way.
            let workspace = (in_hand + 2 * down).max(2 * head).max(head + of_head);
            return Self { gradients: all, activations: forward, workspace };
        }
        let loss = Self { gradients: head, activations: forward, workspace: of_head };
        let last = Self { gradients: head + down, activations: forward, workspace: in_hand };
        let gradients = all - FLOAT * counts.embedding - of_block + down;
        let first = Self { gradients, activations: tokens * kept, workspace: in_hand };
        let end = Self { gradients: all, activations: 0, workspace: 0 };
        let most = |one: Self, other: Self| if other.total() > one.total() { other } else { one };
        [last, first, end].into_iter().fold(loss, most)
    }

    fn total(&self) -> u64 {
        self.gradients + self.activations + self.workspace
    }
}

/// A matrix, or the residual stream, gate or value of a batch.
fn largest(configuration: &Configuration) -> u64 {
    let model = &configuration.model;
    let mixing = model.num_heads * model.qk_head_dim.max(model.v_head_dim);
    let matrix = model.embedding_dim * model.vocab_size.max(model.feed_forward_dim).max(mixing);
    let half = if configuration.precision.mode == Mode::Mixed { HALF } else { FLOAT };
    // An xLSTM's cell gives f32 in either precision, and so does a product with a bias.
    let xlstm = model.architecture == Architecture::Xlstm;
    let mixed = if xlstm || model.attention_bias { FLOAT } else { half };
    let inner = if model.mlp_bias { FLOAT } else { half };
    let residual = FLOAT * model.embedding_dim as u64;
    let widest = residual.max(inner * model.feed_forward_dim as u64).max(mixed * mixing as u64);
    (FLOAT * matrix as u64).max(configuration.tokens_per_batch() as u64 * widest)
}

/// Bytes a token of a block's tensors.
struct Block {
    /// What its backward reads, with its input.
    kept: u64,
    /// The most that its backward holds beside them, in that of SwiGLU: the gradients of the residual stream, of gate and of
    /// up projection; the gradient of their product has taken the place of the product.
    backward: u64,
}

impl Block {
    fn new(model: &ModelConfiguration, mode: Mode) -> Self {
        let [width, heads, groups, qk, v, inner] = [
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
        let kept = FLOAT * 2 * width + half * 2 * width + mixing + half * 3 * inner;
        Self { kept, backward: FLOAT * width + half * 2 * inner }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::Batch;
    use crate::training::step::{self, Learner, optimizer};
    use gradus_engine::{Device, Tape};
    use gradus_models::Model;
    use gradus_models::configuration::presets;

    /// A preset with this many blocks, or its own, this batch and context.
    fn configuration(name: &str, blocks: Option<usize>, [batch, context]: [usize; 2]) -> Configuration {
        let mut model = presets::find(name).unwrap().model;
        model.context_length = context;
        model.num_blocks = blocks.unwrap_or(model.num_blocks);
        let mut configuration = Configuration::for_model(model);
        configuration.train.batch = batch;
        configuration
    }

    /// The allocator's peak of two steps on a device.
    fn measured(configuration: &Configuration, device: &Device) -> u64 {
        let train = &configuration.train;
        let model = Model::new(configuration.model.clone(), device, 0).unwrap();
        let model = model.in_precision(configuration.precision.mode.into()).unwrap();
        let model = model.with_gradient_checkpointing(train.gradient_checkpointing);
        let optimizer = optimizer(&model, &configuration.optimizer, &configuration.precision).unwrap();
        let mut learner = Learner::new(model, optimizer);
        let (batch, context) = (train.batch, configuration.model.context_length);
        let tokens = vec![7; batch * context];
        let batch = Batch { inputs: tokens.clone(), targets: tokens, first: None, batch, context };
        let batches = vec![batch; train.accumulation];
        for step in 1..=2 {
            learner.step(step, &batches, 0, 1e-3).unwrap().wait().unwrap();
        }
        device.memory().1
    }

    #[test]
    fn the_plan_is_within_a_tenth_of_what_is_measured() {
        for (name, blocks, batch, context, vocabulary) in [
            ("xlstm-tiny", None, 8, 256, 256),
            ("xlstm-tiny", None, 2, 64, 256),
            ("llama-tiny", None, 4, 256, 256),
            ("llama-tiny", None, 1, 16, 256),
            ("xlstm-tiny", Some(12), 2, 128, 256),
            ("llama-tiny", Some(12), 4, 128, 256),
            // Logits or the gradient of the head take more than anything else.
            ("xlstm-tiny", None, 4, 256, 8192),
            ("llama-tiny", Some(2), 2, 32, 16_384),
        ] {
            for (checkpointing, accumulation) in [(false, 1), (true, 1), (false, 3), (true, 2)] {
                let mut configuration = configuration(name, blocks, [batch, context]);
                // An xLSTM has none of these, whatever it says.
                (configuration.model.attention_bias, configuration.model.mlp_bias) =
                    (blocks.is_some(), blocks.is_some());
                configuration.model.vocab_size = vocabulary;
                configuration.train.gradient_checkpointing = checkpointing;
                configuration.train.accumulation = accumulation;
                let planned = Plan::new(&configuration).total() as f64;
                let measured = measured(&configuration, &Device::cpu()) as f64;
                println!(
                    "{name} {blocks:?} {context} {vocabulary} {checkpointing} {accumulation}: planned / measured = {:.4}",
                    planned / measured
                );
                assert!((planned / measured - 1.0).abs() < 0.1, "{name}: {planned} planned, {measured} measured");
            }
        }
    }

    /// Activations and workspace against the allocator: what the forward leaves, and what the most is above that.
    #[test]
    fn the_parts_are_those_of_the_allocator() {
        for (name, vocabulary) in [("xlstm-tiny", 256), ("llama-tiny", 256), ("llama-tiny", 8192)] {
            let mut configuration = configuration(name, None, [8, 256]);
            configuration.model.vocab_size = vocabulary;
            let plan = Plan::new(&configuration);
            let device = Device::cpu();
            let model = Model::new(configuration.model.clone(), &device, 0).unwrap();
            let tokens = vec![7; 8 * 256];
            let batch = Batch { inputs: tokens.clone(), targets: tokens, first: None, batch: 8, context: 256 };
            let weights = device.memory().0;
            let tape = Tape::new();
            let leaves: Vec<_> = model.weights.iter().map(|weight| tape.leaf(weight.clone())).collect();
            let loss = step::loss(&model, &leaves, &batch).unwrap();
            // The head's gradient is there by then, and that of its input.
            let [width, vocabulary] = [configuration.model.embedding_dim as u64, vocabulary as u64];
            let kept = device.memory().0 - weights - FLOAT * width * (vocabulary + 8 * 256);
            let share = plan.activations as f64 / kept as f64;
            tape.backward(&loss).unwrap();
            let most = device.memory().1 - weights;
            let whole = plan.of_step() as f64 / most as f64;
            println!(
                "{name} {vocabulary}: {plan:?}, activations {share:.4}, all of the step {whole:.4} of what is measured"
            );
            assert!((share - 1.0).abs() < 0.1 && (whole - 1.0).abs() < 0.1, "{name}: {share} {whole}");
        }
    }

    /// More blocks cost their weights and moments and, in activations, their inputs alone. So many tokens are trained on that
    /// the inputs take more than the gradients, and the most is held at the beginning of the way back.
    fn more_blocks_cost_their_inputs(device: impl Fn() -> Device, mode: Mode) {
        for name in ["xlstm-tiny", "llama-tiny"] {
            let peak = |blocks, checkpointing| {
                let mut configuration = configuration(name, Some(blocks), [8, 256]);
                configuration.train.gradient_checkpointing = checkpointing;
                configuration.precision.mode = mode;
                let planned = Plan::new(&configuration).total();
                (measured(&configuration, &device()), planned, configuration.model.parameters().total())
            };
            let (few, few_planned, few_weights) = peak(3, true);
            let (many, many_planned, many_weights) = peak(9, true);
            let inputs = (9 - 3) * 8 * 256 * 128 * FLOAT;
            let expected = (inputs + 3 * FLOAT * (many_weights - few_weights)) as f64;
            let grown = (many - few) as f64 / expected;
            println!("{name} {mode:?}: {few} to {many} bytes, {grown:.4} of the inputs and weights");
            assert!((grown - 1.0).abs() < 0.05, "{name}: {few} to {many}, {expected} expected");
            assert!(((many_planned - few_planned) as f64 / expected - 1.0).abs() < 0.05, "{name}");
            let (whole, whole_planned, _) = peak(9, false);
            assert!(whole as f64 > 1.5 * many as f64, "{name}: {whole} without, {many} with");
            assert!(whole_planned as f64 > 1.5 * many_planned as f64, "{name}");
        }
    }

    #[test]
    fn with_checkpointing_more_blocks_cost_their_inputs() {
        more_blocks_cost_their_inputs(Device::cpu, Mode::F32);
    }
}
