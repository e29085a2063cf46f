//! What the table of checks does not draw: sums in two stages, and empty ones.

use super::{mean, mean_last, sum, sum_last};
use crate::check::test_device;
use crate::{Device, Tape, Tensor, Var};

#[test]
fn sums_over_many_segments_and_over_nothing_are_exact() {
    for device in std::iter::once(Device::cpu()).chain(test_device::gpu()) {
        // Small integers: every partial sum is exact, in any order.
        for count in [4095, 4096, 4097, 3 * 4096 + 8, 100_003, 0] {
            let data: Vec<f32> = (0..count).map(|i| (i % 7) as f32 - 2.0).collect();
            let tape = Tape::new();
            let x = tape.leaf(Tensor::new(&device, &[count], &data).unwrap());
            let y = sum(&x).unwrap();
            assert_eq!(y.sizes(), [0; 0]);
            assert_eq!(y.tensor().to_vec::<f32>().unwrap(), [data.iter().sum::<f32>()], "{count} on {device:?}");
            let gradient = tape.backward(&y).unwrap().take(&x).unwrap();
            assert_eq!(gradient.to_vec::<f32>().unwrap(), vec![1.0; count]);
        }
        let empty = Var::constant(Tensor::new::<f32>(&device, &[3, 0], &[]).unwrap());
        assert_eq!(sum_last(&empty).unwrap().tensor().to_vec::<f32>().unwrap(), [0.0; 3]);
        assert!(mean_last(&empty).unwrap_err().to_string().contains("no elements"));
        assert!(mean(&empty).is_err());
    }
}
