//! Refusals.

use super::swiglu;
use crate::{Device, Tensor, Var};

#[test]
fn what_does_not_fit_is_refused() {
    let ones = |sizes: &[usize]| {
        Var::constant(Tensor::new(&Device::cpu(), sizes, &vec![1f32; sizes.iter().product()]).unwrap())
    };
    let error = swiglu(&ones(&[2, 3]), &ones(&[3, 2])).unwrap_err().to_string();
    assert_eq!(error, "swiglu: takes gate and up of equal shape, got [[2, 3], [3, 2]]");
    assert!(super::swiglu_packed(&ones(&[2, 3])).unwrap_err().to_string().contains("[[2, 3]]"));
}
