//! What the table of checks does not draw: other types, large tiles, nothing moved, orders that are none.

use super::{Axis, axes, permute, transpose};
use crate::check::test_device;
use crate::{Device, Element, Tensor, Var};

fn devices() -> impl Iterator<Item = Device> {
    std::iter::once(Device::cpu()).chain(test_device::gpu())
}

/// x[i, j, k] = its place; y[k, j, i] must hold the place it came from.
fn reverse<T: Element>(device: &Device, [a, b, c]: [usize; 3], of: impl Fn(usize) -> T) {
    let data: Vec<T> = (0..a * b * c).map(&of).collect();
    let x = Var::constant(Tensor::new(device, &[a, b, c], &data).unwrap());
    let y = permute(&x, &[2, 1, 0]).unwrap();
    assert_eq!(y.sizes(), [c, b, a]);
    let places = (0..c).flat_map(|k| (0..b).flat_map(move |j| (0..a).map(move |i| (i * b + j) * c + k)));
    assert_eq!(y.tensor().to_vec::<T>().unwrap(), places.map(of).collect::<Vec<_>>(), "[{a}, {b}, {c}] on {device:?}");
}

#[test]
fn every_type_is_moved_bit_by_bit() {
    for device in devices() {
        for sizes in [[33, 2, 65], [5, 1, 130], [64, 1, 64], [3, 40, 2], [1, 1, 1], [2, 0, 3]] {
            reverse(&device, sizes, |at| at as u32 * 0x0101_0101);
            reverse(&device, sizes, |at| at as f32);
            if !device.is_gpu() {
                reverse(&device, sizes, |at| at as f64);
            }
        }
    }
}

#[test]
fn neighbours_that_stay_together_are_one_axis() {
    let axis = |size, stride| Axis { size, stride };
    assert_eq!(axes(&[2, 3, 5], &[0, 1, 2]), [axis(30, 1)]);
    assert_eq!(axes(&[2, 3, 5], &[1, 2, 0]), [axis(15, 1), axis(2, 15)]);
    assert_eq!(axes(&[2, 1, 5, 1, 7], &[4, 3, 0, 1, 2]), [axis(7, 1), axis(10, 7)]);
    assert_eq!(axes(&[4, 8, 3, 6], &[0, 2, 1, 3]), [axis(4, 144), axis(3, 6), axis(8, 18), axis(6, 1)]);
}

#[test]
fn exchanging_two_dimensions_twice_changes_nothing() {
    for device in devices() {
        let data: Vec<f32> = (0..2 * 33 * 40 * 4).map(|at| at as f32).collect();
        let x = Var::constant(Tensor::new(&device, &[2, 33, 40, 4], &data).unwrap());
        for (a, b) in [(0, 1), (1, 2), (2, 3), (1, 3), (0, 3), (2, 2)] {
            let y = transpose(&transpose(&x, a, b).unwrap(), b, a).unwrap();
            assert_eq!(y.tensor().to_vec::<f32>().unwrap(), data, "{a} and {b} on {device:?}");
        }
    }
}

#[test]
fn what_is_no_order_is_refused() {
    let x = Var::constant(Tensor::new(&Device::cpu(), &[2, 3], &[0f32; 6]).unwrap());
    for order in [&[0, 0][..], &[1], &[0, 2], &[0, 1, 2]] {
        let error = permute(&x, order).unwrap_err().to_string();
        assert_eq!(error, format!("permute: [2, 3] needs an order of its 2 dimensions, got {order:?}"));
    }
    let error = transpose(&x, 0, 2).unwrap_err().to_string();
    assert_eq!(error, "transpose: [2, 3] has 2 dimensions, there are no 0 and 2 to exchange");
    let half = Var::constant(Tensor::new(&Device::cpu(), &[1], &[half::f16::ONE]).unwrap());
    assert!(permute(&half, &[0]).unwrap_err().to_string().contains("got f16 [1]"));
}
