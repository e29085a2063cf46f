//! What the table of checks does not show: known values, indices out of range, shapes that are refused, empty ones.

use super::*;
use crate::check::test_device;
use crate::{Device, Tape};

fn devices() -> impl Iterator<Item = Device> {
    std::iter::once(Device::cpu()).chain(test_device::gpu())
}

fn floats(device: &Device, sizes: &[usize]) -> Tensor {
    let count: usize = sizes.iter().product();
    Tensor::new(device, sizes, &(0..count).map(|at| at as f32).collect::<Vec<_>>()).unwrap()
}

fn index(device: &Device, sizes: &[usize], data: &[u32]) -> Var {
    Tensor::new(device, sizes, data).unwrap().into()
}

/// The result, and the gradient for 1, 2, 3, ... as upstream gradient.
fn evaluate(gather: Gather, x: Tensor, index: &Var) -> [Vec<f32>; 2] {
    let tape = Tape::new();
    let x = tape.leaf(x);
    let y = apply_one(gather, &[&x, index]).unwrap();
    let seed: Vec<f32> = (1..=y.tensor().elements()).map(|at| at as f32).collect();
    let seed = Tensor::new(&y.tensor().device(), y.sizes(), &seed).unwrap();
    let values = y.tensor().to_vec().unwrap();
    [values, tape.backward_from(vec![(y, seed)]).unwrap().take(&x).unwrap().to_vec().unwrap()]
}

#[test]
fn known_values() {
    for device in devices() {
        // x = [[0, 1, 2], [3, 4, 5]]
        let rows = Gather::Elements { dimension: 0 };
        let [y, d_x] = evaluate(rows, floats(&device, &[2, 3]), &index(&device, &[3, 2], &[0, 1, 1, 1, 0, 0]));
        assert_eq!((y, d_x), (vec![0.0, 4.0, 3.0, 4.0, 0.0, 1.0], vec![6.0, 6.0, 0.0, 3.0, 6.0, 0.0]), "{device:?}");
        let columns = Gather::Elements { dimension: 1 };
        let [y, d_x] = evaluate(columns, floats(&device, &[2, 3]), &index(&device, &[1, 4], &[2, 0, 2, 2]));
        assert_eq!((y, d_x), (vec![2.0, 0.0, 2.0, 2.0], vec![2.0, 0.0, 8.0, 0.0, 0.0, 0.0]), "{device:?}");
        let slices = Gather::Slices { dimension: 1 };
        let [y, d_x] = evaluate(slices, floats(&device, &[2, 3]), &index(&device, &[2], &[2, 2]));
        assert_eq!((y, d_x), (vec![2.0, 2.0, 5.0, 5.0], vec![0.0, 0.0, 3.0, 0.0, 0.0, 7.0]), "{device:?}");
    }
}

#[test]
fn nothing_gathered_has_a_gradient_of_zero() {
    for device in devices() {
        for (gather, sizes) in [
            (Gather::Elements { dimension: 1 }, &[2, 0][..]),
            (Gather::Elements { dimension: 1 }, &[0, 2]),
            (Gather::Slices { dimension: 0 }, &[0]),
        ] {
            let [y, d_x] = evaluate(gather, floats(&device, &[2, 3]), &index(&device, sizes, &[]));
            assert_eq!((y, d_x), (vec![], vec![0.0; 6]), "{gather:?} {sizes:?} on {device:?}");
        }
    }
}

#[test]
fn an_index_out_of_range_is_refused() {
    // A device of its own: another test's read-back would meet the error.
    let own = test_device::gpu().map(|_| test_device::own(crate::device::gpu::Options::default()));
    for device in std::iter::once(Device::cpu()).chain(own) {
        let x = Var::from(floats(&device, &[2, 3]));
        let cpu = "gather: index 7 is not below 3, the size of dimension 1 of [2, 3]; it is number 1 of index [2, 1]";
        match gather(&x, 1, &index(&device, &[2, 1], &[2, 7])) {
            Err(error) => assert_eq!(error.to_string(), cpu),
            Ok(y) => {
                let message = y.tensor().to_vec::<f32>().unwrap_err().to_string();
                assert_eq!(message, "gather: index 7 is not below 3");
                let y = y.tensor().to_vec::<f32>().unwrap();
                assert!(device.is_gpu() && y[0] == 2.0 && y[1].is_nan(), "{y:?}");
            }
        }
        let message = match index_select(&x, 0, &index(&device, &[1], &[u32::MAX])) {
            Err(error) => error.to_string(),
            Ok(y) => y.tensor().to_vec::<f32>().unwrap_err().to_string(),
        };
        assert!(message.starts_with("index_select: index 4294967295 is not below 2"), "{message}");
    }
}

#[test]
fn shapes_that_do_not_fit_are_refused() {
    let device = Device::cpu();
    let x = Var::from(floats(&device, &[2, 3]));
    let refused = |dimension: usize, sizes: &[usize]| {
        let zeros = vec![0; sizes.iter().product()];
        gather(&x, dimension, &index(&device, sizes, &zeros)).unwrap_err().to_string()
    };
    assert_eq!(refused(2, &[2, 3]), "gather: x [2, 3], index [2, 3], dimension 2: x has 2 dimensions");
    assert!(refused(0, &[2]).contains("as many dimensions as x"));
    assert!(refused(0, &[9, 4]).contains("at most x's size"));
    assert!(index_select(&x, 0, &index(&device, &[1, 1], &[0])).unwrap_err().to_string().contains("must be a vector"));
    assert!(gather(&x, 0, &x).unwrap_err().to_string().contains("got f32 and f32"));
}
