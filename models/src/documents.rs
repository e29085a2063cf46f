//! Documents that follow each other in one sequence, and of which none sees another.

use gradus_engine::{Device, Tensor, Var};

use crate::Result;
use crate::configuration::{Architecture, ModelConfiguration};

/// Where documents begin in a batch of sequences, as a model's layers are told: attention gets the first position that each
/// token may see, the mLSTM the positions at which its state is forgotten.
#[derive(Debug, Clone)]
pub struct Documents(Var);

impl Documents {
    /// `first` [batch, sequence] has for each position that of its document's first token in the same sequence; 0 where
    /// the document began before.
    ///
    /// # Errors
    /// Another number of positions; an allocation that the device refuses. A position after its own token's is an error of
    /// the attention.
    pub fn new(model: &ModelConfiguration, device: &Device, sizes: [usize; 2], first: &[u32]) -> Result<Self> {
        let tensor = match model.architecture {
            Architecture::Transformer => Tensor::new(device, &sizes, first)?,
            Architecture::Xlstm => {
                let begins = |(at, &first): (usize, &u32)| u32::from(first as usize == at % sizes[1].max(1));
                Tensor::new(device, &sizes, &first.iter().enumerate().map(begins).collect::<Vec<_>>())?
            }
        };
        Ok(Self(tensor.into()))
    }

    /// The layers' tensor, u32 [batch, sequence].
    pub(crate) fn tensor(&self) -> &Var {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Model;
    use crate::configuration::presets;

    /// One sequence of three documents, of 5, 1 and 10 tokens, of which the first began earlier.
    const LENGTHS: [usize; 3] = [5, 1, 10];

    fn packed_is_alone(name: &str, checkpointing: bool) {
        let mut configuration = presets::find(name).unwrap().model;
        (configuration.num_blocks, configuration.context_length, configuration.chunk_size) = (2, 16, 16);
        let model = Model::new(configuration, &Device::cpu(), 3).unwrap().with_gradient_checkpointing(checkpointing);
        let device = Device::cpu();
        let tokens: Vec<u32> = (0..16).map(|at| (at * at * 37 + 11) % 256).collect();
        let targets: Vec<u32> = (0..16).map(|at| (at * 91 + 5) % 256).collect();
        let starts = [0, 5, 6];
        let first: Vec<u32> = LENGTHS.iter().zip(starts).flat_map(|(length, start)| vec![start; *length]).collect();
        // The loss and the gradient of the first block's first matrix.
        let run = |range: std::ops::Range<usize>, first: Option<&[u32]>| {
            let sizes = [1, range.len()];
            let [tokens, targets] =
                [&tokens, &targets].map(|all| Tensor::new(&device, &sizes, &all[range.clone()]).unwrap());
            let documents = first.map(|first| Documents::new(model.configuration(), &device, sizes, first).unwrap());
            let tape = gradus_engine::Tape::new();
            let leaves: Vec<Var> = model.weights.iter().map(|weight| tape.leaf(weight.clone())).collect();
            let loss = model.loss_within(&leaves, &tokens, &targets, documents.as_ref()).unwrap();
            let mut gradients = tape.backward(&loss).unwrap();
            let gradient = gradients.take(&leaves[2]).unwrap().to_vec::<f32>().unwrap();
            (f64::from(loss.tensor().to_vec::<f32>().unwrap()[0]), gradient)
        };
        let (packed, d_packed) = run(0..16, Some(&first));
        let (mut alone, mut d_alone) = (0.0, vec![0f64; d_packed.len()]);
        for (length, start) in LENGTHS.into_iter().zip(starts) {
            let start = start as usize;
            let share = length as f64 / 16.0;
            let (loss, gradient) = run(start..start + length, None);
            alone += share * loss;
            d_alone.iter_mut().zip(gradient).for_each(|(sum, value)| *sum += share * f64::from(value));
        }
        assert!((packed / alone - 1.0).abs() < 1e-6, "{name}: {packed} packed, {alone} alone");
        let largest = d_alone.iter().fold(0f64, |most, value| most.max(value.abs()));
        let worst = d_alone.iter().zip(&d_packed).fold(0f64, |most, (a, b)| most.max((a - f64::from(*b)).abs()));
        assert!(largest > 0.0 && worst < 1e-5 * largest, "{name}: gradients differ by {worst} of {largest}");
        // Without the borders it is another loss: the comparison can fail.
        let (joined, _) = run(0..16, None);
        assert!((joined / alone - 1.0).abs() > 1e-6, "{name}: {joined} joined, {alone} alone");
    }

    #[test]
    fn packed_documents_are_what_they_are_alone() {
        for checkpointing in [false, true] {
            packed_is_alone("llama-tiny", checkpointing);
            packed_is_alone("xlstm-tiny", checkpointing);
        }
    }

    #[test]
    fn borders_of_another_shape_are_refused() {
        let model = presets::find("xlstm-tiny").unwrap().model;
        assert!(Documents::new(&model, &Device::cpu(), [2, 8], &[0; 15]).is_err());
    }
}
