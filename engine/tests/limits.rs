//! What is too large for a device is refused with the operation, the need and the limit; what only needs more workgroups
//! than a dimension has is folded and right.

mod device;

use device::open;
use gradus_engine::device::gpu::Options;
use gradus_engine::ops::arithmetic::add;
use gradus_engine::ops::matmul::matmul;
use gradus_engine::{Device, Error, Shape, Tensor, Var};

/// Counts whose product or bytes pass 2^32 or 2^64 are either a shape or an error, never a wrapped number.
#[test]
fn sizes_beyond_any_memory_are_shapes_or_errors() {
    for sizes in [[1 << 31, 1], [1 << 32, 1], [65_536, 65_536], [1 << 40, 1 << 20]] {
        let shape = Shape::new(&sizes).unwrap();
        assert_eq!(shape.elements() as u128, sizes[0] as u128 * sizes[1] as u128);
    }
    for sizes in [[1 << 32, 1 << 32], [1 << 40, 1 << 23], [usize::MAX, 2]] {
        let message = Shape::new(&sizes).unwrap_err().to_string();
        assert!(message.contains("more elements than can be addressed"), "{message}");
    }
}

#[test]
fn a_tensor_over_the_limit_of_one_buffer_is_refused() {
    let Some(device) = open(Options { most_bytes: Some(1 << 20), ..Options::default() }) else { return };
    let Device::Gpu(gpu) = &device else { return };
    // 2^18 f32 are a mebibyte exactly; one row more is too much. Nothing of the larger sizes is ever allocated.
    let most = Tensor::on_gpu(gpu, "add", &[1 << 18], gradus_engine::DType::F32);
    assert!(most.is_ok());
    for elements in [(1 << 18) + 1, 1 << 25, 1 << 29, 1 << 31, 1 << 32, (1 << 32) + 7] {
        let error = Tensor::on_gpu(gpu, "add", &[elements], gradus_engine::DType::F32).unwrap_err();
        assert!(matches!(error, Error::Limit { operation: "add", .. }), "{error}");
        let message = error.to_string();
        assert!(message.contains(&format!("{} bytes", 4 * elements)) && message.contains("1048576"), "{message}");
        assert!(message.contains("_size); the largest that works is [262144]"), "{message}");
    }
    // The nearest that works does.
    let refused =
        |sizes: &[usize]| Tensor::on_gpu(gpu, "add", sizes, gradus_engine::DType::F32).unwrap_err().to_string();
    assert!(refused(&[100, 3, 1000]).ends_with("the largest of such rows that works is [87, 3, 1000]"));
    assert!(Tensor::on_gpu(gpu, "add", &[87, 3, 1000], gradus_engine::DType::F32).is_ok());
    assert!(Tensor::on_gpu(gpu, "add", &[88, 3, 1000], gradus_engine::DType::F32).is_err());
    assert!(refused(&[2, 1 << 19]).ends_with("at most 262144 elements work"));
    // An operation whose inputs fit and whose output does not.
    let ones =
        |sizes: &[usize]| -> Var { Tensor::new(&device, sizes, &vec![1f32; sizes.iter().product()]).unwrap().into() };
    let (column, row) = (ones(&[1024, 1]), ones(&[1, 1024]));
    let error = add(&column, &row).unwrap_err();
    assert!(matches!(error, Error::Limit { operation: "add", .. }), "{error}");
    assert!(error.to_string().contains("[1024, 1024]"), "{error}");
    let error = matmul(&column, &row).unwrap_err();
    assert!(matches!(error, Error::Limit { operation: "matmul", .. }), "{error}");
    // The device goes on.
    assert_eq!(add(&column, &column).unwrap().tensor().to_vec::<f32>().unwrap(), vec![2.0; 1024]);
}

/// 65,535 workgroups of 256 elements are 16,776,960: just under, at and over, with the real limit of the adapter.
#[test]
fn more_workgroups_than_a_dimension_has_are_folded() {
    let Some(device) = open(Options::default()) else { return };
    for count in [16_776_959, 16_776_960, 16_776_961] {
        // Odd counts and those not divisible by 4 take an invocation an element.
        let x: Var = Tensor::new(&device, &[count], &vec![1f32; count]).unwrap().into();
        let y = add(&x, &x).unwrap().tensor().to_vec::<f32>().unwrap();
        assert!(y.iter().all(|&y| y == 2.0), "{count}");
    }
}

#[test]
fn more_workgroups_than_two_dimensions_have_are_refused() {
    let Some(device) = open(Options { most_workgroups: Some(3), ..Options::default() }) else { return };
    let x: Var = Tensor::new(&device, &[1 << 16], &vec![1f32; 1 << 16]).unwrap().into();
    let error = add(&x, &x).unwrap_err();
    assert!(matches!(error, Error::Limit { operation: "add", .. }), "{error}");
    assert!(
        error
            .to_string()
            .contains("workgroups on [[65536], [65536], [65536]] are more than the device allows, 3 a dimension"),
        "{error}"
    );
}
