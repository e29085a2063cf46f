//! What the table of checks does not show: the generator's published values, equal masks everywhere, their statistics, the
//! ends, refusals.

use gradus_shaders::{Access, File, Kernel, PHILOX};

use super::*;
use crate::check::test_device;
use crate::device::gpu::{Cost, Dispatch, Workgroups};
use crate::{Device, Tape};

/// Counter, key and words of Philox4x32-10 in the known-answer tests of Random123, the authors' library.
const KNOWN: [([u32; 4], [u32; 2], [u32; 4]); 3] = [
    ([0; 4], [0; 2], [0x6627_e8d5, 0xe169_c58d, 0xbc57_ac4c, 0x9b00_dbd8]),
    ([u32::MAX; 4], [u32::MAX; 2], [0x408f_276d, 0x41c8_3b0e, 0xa20b_c7c6, 0x6d54_51fd]),
    (
        [0x243f_6a88, 0x85a3_08d3, 0x1319_8a2e, 0x0370_7344],
        [0xa409_3822, 0x299f_31d0],
        [0xd16c_fe09, 0x94fd_cceb, 0x5001_e420, 0x2412_6ea1],
    ),
];

#[test]
fn the_generator_gives_its_published_values() {
    for (counter, key, words) in KNOWN {
        assert_eq!(philox(counter, key), words);
    }
    static WORDS: Kernel = Kernel {
        name: "dropout/philox_words",
        files: &[PHILOX, File { path: "philox_words.wgsl", text: include_str!("philox_words.wgsl") }],
        bindings: &[Access::ReadWrite],
        variants: &[],
    };
    let Some(Device::Gpu(gpu)) = test_device::gpu() else { return };
    for (counter, key, expected) in KNOWN {
        let words = Tensor::on_gpu(&gpu, NAME, &[4], DType::U32).unwrap();
        let [a, b, c, d] = counter;
        gpu.dispatch(&Dispatch {
            operation: NAME,
            kernel: &WORDS,
            element: DType::F32,
            constants: &[],
            parameters: bytemuck::bytes_of(&[a, b, c, d, key[0], key[1], 0, 0]),
            buffers: &[&words],
            workgroups: Workgroups::Linear(1),
            cost: Cost::default(),
        })
        .unwrap();
        assert_eq!(words.to_vec::<u32>().unwrap(), expected);
    }
}

/// The result for ones, so 0 or the scale.
fn of_ones(device: &Device, count: usize, probability: f64, seed: u64) -> Vec<f32> {
    let ones = Var::from(Tensor::new(device, &[count], &vec![1f32; count]).unwrap());
    dropout(&ones, probability, seed).unwrap().tensor().to_vec().unwrap()
}

#[test]
fn masks_are_equal_on_every_device_and_differ_between_seeds() {
    let (cpu, gpu) = (Device::cpu(), test_device::gpu());
    let mut seen = Vec::new();
    for at in 0..40u64 {
        let seed = [at, at << 32, u64::MAX - at, at.wrapping_mul(0x9e37_79b9_7f4a_7c15)][at as usize % 4];
        // Lengths that four divides and such that it does not; probabilities whose 2^32-fold is no integer.
        let (count, probability) = (1000 + at as usize % 7, [0.1, 0.5, 1.0 / 3.0, 0.999][at as usize / 4 % 4]);
        let mask = of_ones(&cpu, count, probability, seed);
        if let Some(gpu) = &gpu {
            assert_eq!(mask, of_ones(gpu, count, probability, seed), "seed {seed}");
        }
        let dropped: Vec<bool> = of_ones(&cpu, 1000, 0.5, seed).iter().map(|&y| y == 0.0).collect();
        assert!(!seen.contains(&dropped), "seed {seed} drops what another does");
        seen.push(dropped);
    }
}

#[test]
fn as_many_are_dropped_as_the_probability_says() {
    let count = 1 << 18;
    for (seed, probability) in [(1, 0.5), (2, 0.1), (3, 0.01), (4, 0.9)] {
        let y = of_ones(&Device::cpu(), count, probability, seed);
        let kept = y.iter().filter(|&&y| y != 0.0).count() as f64;
        // Five standard deviations of a binomial count.
        let deviation = (count as f64 * probability * (1.0 - probability)).sqrt();
        let expected = count as f64 * (1.0 - probability);
        assert!((kept - expected).abs() < 5.0 * deviation, "{probability}: {kept} of {count} kept");
        let scale = (1.0 / (1.0 - probability)) as f32;
        assert!(y.iter().all(|&y| y == 0.0 || y == scale));
        // Neighbours are independent: as many pairs are both kept as the squared share says.
        let both = y.chunks(2).filter(|pair| pair.iter().all(|&y| y != 0.0)).count() as f64;
        let share = (1.0 - probability) * (1.0 - probability);
        let (pairs, expected) = ((count / 2) as f64, (count / 2) as f64 * share);
        assert!((both - expected).abs() < 5.0 * (pairs * share * (1.0 - share)).sqrt(), "{probability}: {both} pairs");
    }
}

#[test]
fn the_gradient_has_the_forwards_mask() {
    for device in std::iter::once(Device::cpu()).chain(test_device::gpu()) {
        let tape = Tape::new();
        let x = tape.leaf(Tensor::new(&device, &[3, 101], &[1f32; 303]).unwrap());
        let y = dropout(&x, 0.4, 7).unwrap();
        let values = y.tensor().to_vec::<f32>().unwrap();
        let seed = Tensor::new(&device, &[3, 101], &[1f32; 303]).unwrap();
        let d_x = tape.backward_from(vec![(y, seed)]).unwrap().take(&x).unwrap();
        assert_eq!(d_x.to_vec::<f32>().unwrap(), values, "{device:?}");
    }
}

#[test]
fn the_ends_and_what_is_beyond() {
    for device in std::iter::once(Device::cpu()).chain(test_device::gpu()) {
        let x = [1f32, -2.0, f32::NAN, 4.0, f32::INFINITY];
        let var = Var::from(Tensor::new(&device, &[5], &x).unwrap());
        let bits = |y: Var| y.tensor().to_vec::<f32>().unwrap().iter().map(|y| y.to_bits()).collect::<Vec<_>>();
        assert_eq!(bits(dropout(&var, 0.0, 3).unwrap()), x.map(f32::to_bits), "{device:?}");
        assert_eq!(bits(dropout(&var, 1.0, 3).unwrap()), [0; 5], "{device:?}");
        for probability in [-0.1, 1.5, f64::NAN] {
            let message = dropout(&var, probability, 3).unwrap_err().to_string();
            assert!(message.contains("must be in 0 ..= 1, it is"), "{message}");
        }
        let empty = Var::from(Tensor::new(&device, &[0], &[0f32; 0]).unwrap());
        assert_eq!(dropout(&empty, 0.5, 3).unwrap().tensor().elements(), 0);
        let indices = Var::from(Tensor::new(&device, &[1], &[1u32]).unwrap());
        assert!(dropout(&indices, 0.5, 3).unwrap_err().to_string().contains("got u32"));
    }
}
