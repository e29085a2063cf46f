//! What is computed with: random numbers and tokens that depend on a seed and their place alone, and several sets of the same
//! inputs used in turn, so that no cache holds what a launch reads.

use std::cell::Cell;

use gradus_engine::ops::dropout::philox;
use gradus_engine::{Device, Result, Tensor, Var};
use half::f16;

/// Sets of inputs together reach this, in bytes, where a GPU is timed: several times the cache of a large card.
const WORKING_SET: usize = 256 << 20;

/// Random words.
pub fn words(seed: u32, count: usize) -> Vec<u32> {
    let four = |block: usize| philox([block as u32, (block as u64 >> 32) as u32, 0, 0], [seed, 0]);
    let mut words: Vec<u32> = (0..count.div_ceil(4)).flat_map(four).collect();
    words.truncate(count);
    words
}

/// Random numbers from mean − 1 to mean + 1.
pub fn floats(seed: u32, count: usize, mean: f32) -> Vec<f32> {
    words(seed, count).into_iter().map(|word| mean + (word >> 8) as f32 / (1 << 23) as f32 - 1.0).collect()
}

/// A tensor that a launch reads.
pub struct Input {
    sizes: Vec<usize>,
    mean: f32,
    half: bool,
}

impl Input {
    /// One of random numbers from −1 to 1.
    pub fn new(sizes: &[usize]) -> Self {
        Self::around(0.0, sizes)
    }

    /// One of random numbers from mean − 1 to mean + 1.
    pub fn around(mean: f32, sizes: &[usize]) -> Self {
        Self { sizes: sizes.to_vec(), mean, half: false }
    }

    /// The same in f16, if `half`.
    pub fn in_half(self, half: bool) -> Self {
        Self { half, ..self }
    }

    fn bytes(&self) -> usize {
        self.elements() * if self.half { 2 } else { 4 }
    }

    fn tensor(&self, device: &Device, content: &[f32]) -> Result<Tensor> {
        if self.half {
            let content: Vec<f16> = content.iter().map(|&x| f16::from_f32(x)).collect();
            return Tensor::new(device, &self.sizes, &content);
        }
        Tensor::new(device, &self.sizes, content)
    }

    fn elements(&self) -> usize {
        self.sizes.iter().product()
    }
}

/// Sets of the same inputs.
pub struct Rotation {
    sets: Vec<Vec<Tensor>>,
    next: Cell<usize>,
}

impl Rotation {
    /// So many sets that they reach [`WORKING_SET`] together; on a processor one.
    ///
    /// # Errors
    /// An allocation that the device refuses.
    pub fn new(device: &Device, is_processor: bool, inputs: &[Input]) -> Result<Self> {
        let bytes: usize = inputs.iter().map(Input::bytes).sum();
        let count = if is_processor { 1 } else { WORKING_SET.div_ceil(bytes.max(1)) };
        let contents: Vec<Vec<f32>> =
            (0..).zip(inputs).map(|(seed, input)| floats(seed, input.elements(), input.mean)).collect();
        let set = |_| {
            let tensors = inputs.iter().zip(&contents).map(|(input, content)| input.tensor(device, content));
            tensors.collect::<Result<Vec<_>>>()
        };
        Ok(Self { sets: (0..count).map(set).collect::<Result<_>>()?, next: Cell::new(0) })
    }

    /// The next set.
    pub fn tensors(&self) -> &[Tensor] {
        let place = self.next.get();
        self.next.set((place + 1) % self.sets.len());
        &self.sets[place]
    }

    /// The next set, as constants.
    pub fn constants(&self) -> Vec<Var> {
        self.tensors().iter().cloned().map(Var::constant).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_depend_on_seed_and_place_alone() {
        assert_eq!(words(3, 10)[..7], words(3, 7));
        assert_ne!(words(3, 10), words(4, 10));
        let numbers = floats(1, 1000, 3.0);
        assert!(numbers.iter().all(|x| (2.0..=4.0).contains(x)));
        assert!((numbers.iter().sum::<f32>() / 1000.0 - 3.0).abs() < 0.1);
    }

    #[test]
    fn sets_are_used_in_turn() {
        let rotation = Rotation::new(&Device::cpu(), false, &[Input::new(&[1 << 25])]).unwrap();
        assert_eq!(rotation.sets.len(), 2);
        let first = rotation.tensors()[0].cpu::<f32>("test").unwrap().as_ptr();
        assert_ne!(rotation.tensors()[0].cpu::<f32>("test").unwrap().as_ptr(), first);
        assert_eq!(rotation.tensors()[0].cpu::<f32>("test").unwrap().as_ptr(), first);
    }
}
