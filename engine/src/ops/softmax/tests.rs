//! Against vectors made with PyTorch.

use super::{log_softmax, softmax};
use crate::check::vector_case::expect;

#[test]
fn softmax_agrees_with_the_reference() {
    expect(
        include_bytes!("../../../../tests/vectors/ops/softmax.safetensors"),
        &["x"],
        |inputs| Ok(vec![softmax(&inputs[0])?, log_softmax(&inputs[0])?]),
        &[("y", "dy"), ("y_log", "dy_log")],
        &["dx"],
    );
}
