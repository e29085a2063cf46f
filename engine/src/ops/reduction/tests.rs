//! What the table of checks does not draw: reductions in several stages, empty ones, ties and values that are not numbers.

use super::{argmax, max, mean, sum};
use crate::check::test_device;
use crate::{Device, Tape, Tensor, Var};

fn devices() -> impl Iterator<Item = Device> {
    std::iter::once(Device::cpu()).chain(test_device::gpu())
}

fn leaf(tape: &Tape, device: &Device, sizes: &[usize], data: &[f32]) -> Var {
    tape.leaf(Tensor::new(device, sizes, data).unwrap())
}

/// Small integers: every partial sum is exact, in any order. The largest one occurs often.
fn integers(count: usize) -> Vec<f32> {
    (0..count).map(|i| (i * 5 % 7) as f32 - 2.0).collect()
}

#[test]
fn reductions_over_many_segments_are_exact() {
    for device in devices() {
        for [outer, n, inner] in [
            [1, 4095, 1],
            [1, 8192, 1],
            [1, 100_003, 1],
            [3, 24_580, 1],
            [1, 9001, 3],
            [1, 3000, 33],
            [2, 70, 40],
            [300, 3, 5],
            [1, 2, 600],
        ] {
            let data = integers(outer * n * inner);
            let at = |o: usize, r: usize, c: usize| data[(o * n + r) * inner + c];
            let places = (0..outer).flat_map(|o| (0..inner).map(move |c| (o, c)));
            let sums: Vec<f32> = places.clone().map(|(o, c)| (0..n).map(|r| at(o, r, c)).sum()).collect();
            let firsts: Vec<usize> = places
                .map(|(o, c)| (1..n).fold(0, |best, r| if at(o, r, c) > at(o, best, c) { r } else { best }))
                .collect();
            let tape = Tape::new();
            let x = leaf(&tape, &device, &[outer, n, inner], &data);
            let y = sum(&x, &[1], true).unwrap();
            assert_eq!(y.sizes(), [outer, 1, inner]);
            assert_eq!(y.tensor().to_vec::<f32>().unwrap(), sums, "[{outer}, {n}, {inner}] on {device:?}");
            let found = argmax(x.tensor(), 1, false).unwrap().to_vec::<u32>().unwrap();
            assert_eq!(found, firsts.iter().map(|&r| r as u32).collect::<Vec<_>>(), "[{outer}, {n}, {inner}]");
            let most = max(&x, &[1], false).unwrap();
            let d_most: Vec<f32> = (1..).map(|i| i as f32).take(outer * inner).collect();
            let seed = Tensor::new(&device, &[outer, inner], &d_most).unwrap();
            let gradient = tape.backward_from(vec![(most, seed)]).unwrap().take(&x).unwrap();
            let mut expected = vec![0f32; data.len()];
            for (at, (&row, &d)) in firsts.iter().zip(&d_most).enumerate() {
                expected[(at / inner * n + row) * inner + at % inner] = d;
            }
            assert_eq!(gradient.to_vec::<f32>().unwrap(), expected, "[{outer}, {n}, {inner}] on {device:?}");
        }
    }
}

#[test]
fn of_equal_elements_the_first_in_memory_gets_the_gradient() {
    for device in devices() {
        let tape = Tape::new();
        // Over axes 0 and 2: column 0 holds 3 at [0, 0, 1], [1, 0, 0] and [1, 0, 2]; column 1 holds -0 and 0.
        let data = [1.0, 3.0, 2.0, -0.0, 0.0, -1.0, 3.0, 0.0, 3.0, -5.0, 0.0, -0.0];
        let x = leaf(&tape, &device, &[2, 2, 3], &data);
        let y = max(&x, &[2, 0], false).unwrap();
        assert_eq!(y.sizes(), [2]);
        assert_eq!(y.tensor().to_vec::<f32>().unwrap(), [3.0, 0.0]);
        let seed = Tensor::new(&device, &[2], &[7f32, 9.0]).unwrap();
        let gradient = tape.backward_from(vec![(y, seed)]).unwrap().take(&x).unwrap();
        let mut expected = [0f32; 12];
        (expected[1], expected[3]) = (7.0, 9.0);
        assert_eq!(gradient.to_vec::<f32>().unwrap(), expected, "{device:?}");
    }
}

#[test]
fn a_value_that_is_not_a_number_wins_and_infinities_are_ordered() {
    for device in devices() {
        let (nan, low, high) = (f32::NAN, f32::NEG_INFINITY, f32::INFINITY);
        let data = [1.0, nan, high, nan, low, low, low, low, low, -1e38, high, high, -nan, 0.0, 1.0, 2.0];
        let x = Tensor::new(&device, &[4, 4], &data).unwrap();
        let most = |axis: usize| {
            let y = max(&Var::constant(x.clone()), &[axis], false).unwrap();
            (y.tensor().to_vec::<f32>().unwrap(), argmax(&x, axis, true).unwrap().to_vec::<u32>().unwrap())
        };
        let (values, places) = most(1);
        assert_eq!(places, [1, 0, 2, 0], "{device:?}");
        assert!(values[0].is_nan() && values[3].is_nan() && values[1..3] == [low, high], "{values:?} on {device:?}");
        let (values, places) = most(0);
        assert_eq!(places, [3, 0, 0, 0], "{device:?}");
        assert!(values[0].is_nan() && values[1].is_nan() && values[2] == high && values[3].is_nan());
    }
}

#[test]
fn empty_reductions_are_right_or_refused() {
    for device in devices() {
        let empty = |sizes: &[usize]| Var::constant(Tensor::new::<f32>(&device, sizes, &[]).unwrap());
        let values = |y: Var| y.tensor().to_vec::<f32>().unwrap();
        assert_eq!(values(sum(&empty(&[3, 0]), &[1], false).unwrap()), [0.0; 3]);
        assert_eq!(values(sum(&empty(&[2, 0, 4]), &[1], false).unwrap()), [0.0; 8]);
        assert_eq!(values(sum(&empty(&[0, 2]), &[0, 1], false).unwrap()), [0.0]);
        assert!(values(sum(&empty(&[0, 2]), &[1], true).unwrap()).is_empty());
        assert!(values(max(&empty(&[0, 2]), &[1], true).unwrap()).is_empty());
        let error = mean(&empty(&[3, 0]), &[1], false).unwrap_err().to_string();
        assert_eq!(error, "mean: [3, 0] has no elements along [1] to take a mean of");
        let error = max(&empty(&[3, 0]), &[1], false).unwrap_err().to_string();
        assert_eq!(error, "max: [3, 0] has no elements along [1] to take the largest of");
        assert!(
            argmax(empty(&[3, 0]).tensor(), 1, false).unwrap_err().to_string().starts_with("argmax: [3, 0] has no")
        );
        let tape = Tape::new();
        let x = leaf(&tape, &device, &[2, 0, 3], &[]);
        let y = sum(&x, &[1], false).unwrap();
        let seed = Tensor::new(&device, &[2, 3], &[1f32; 6]).unwrap();
        assert_eq!(tape.backward_from(vec![(y, seed)]).unwrap().take(&x).unwrap().sizes(), [2, 0, 3]);
    }
}

#[test]
fn no_axes_change_nothing_and_wrong_ones_are_refused() {
    for device in devices() {
        let tape = Tape::new();
        let x = leaf(&tape, &device, &[2, 2], &[1.0, -2.0, 3.0, 4.0]);
        for y in [sum(&x, &[], false), mean(&x, &[], true), max(&x, &[], false)] {
            assert_eq!(y.unwrap().tensor().to_vec::<f32>().unwrap(), [1.0, -2.0, 3.0, 4.0]);
        }
        assert_eq!(mean(&x, &[0, 1], false).unwrap().tensor().to_vec::<f32>().unwrap(), [1.5]);
        let error = sum(&x, &[0, 2], false).unwrap_err().to_string();
        assert_eq!(error, "sum: [2, 2] has 2 dimensions, there is no axis 2");
        let error = max(&x, &[1, 0, 1], false).unwrap_err().to_string();
        assert_eq!(error, "max: axis 1 is named twice, at place 2 again, in [1, 0, 1]");
        assert!(argmax(x.tensor(), 2, false).unwrap_err().to_string().contains("no axis 2"));
        let ids = Var::constant(Tensor::new(&device, &[2], &[1u32, 2]).unwrap());
        assert_eq!(sum(&ids, &[0], false).unwrap_err().to_string(), "sum: takes f32 or f64, got u32 [2]");
        let number = Var::constant(Tensor::new(&device, &[], &[3f32]).unwrap());
        assert_eq!(max(&number, &[], true).unwrap().tensor().to_vec::<f32>().unwrap(), [3.0]);
    }
}
