//! Sizes that the table of checks does not reach: many cells, for which states are computed in large tiles, and heads of several
//! tiles, in f32 and f16. Where there are no matrix units, the plain kernels compute both.

use super::*;

#[test]
fn wide_heads() {
    let Some(gpu) = gpu() else { return };
    // f32 read 4e-6 at most; f16 5e-4 without matrix units, in the gradients that are rounded to it.
    in_both(&gpu, DType::F32, 2e-5);
    if half_missing(&gpu).is_none() {
        in_both(&gpu, DType::F16, 5e-3);
    }
}

fn in_both(gpu: &Device, element: DType, bound: f64) {
    let sizes = [([8, 70, 4], [64, 256], 32), ([1, 150, 2], [144, 272], 64), ([2, 100, 1], [256, 336], 100)];
    for (seed, ([batch, sequence, heads], [qk_dim, v_dim], chunk_size)) in (41..).zip(sizes) {
        let mut draw = Draw::new(seed, 0);
        let rounded = |input: Input| if element == DType::F16 { input.half() } else { input };
        let inputs = vec![
            rounded(draw.normals(&[batch, sequence, heads, qk_dim], 0.3, 1.0)),
            rounded(draw.normals(&[batch, sequence, heads, qk_dim], 0.3, 1.0)),
            rounded(draw.normals(&[batch, sequence, heads, v_dim], 0.0, 1.0)),
            draw.normals(&[batch, sequence, heads], -1.0, 1.0),
            draw.normals(&[batch, sequence, heads], 3.0, 1.0),
            draw.normals(&[batch, heads, qk_dim, v_dim], 0.0, 1.0),
            draw.normals(&[batch, heads, qk_dim], 0.3, 1.0),
            draw.normals(&[batch, heads], 0.0, 1.0),
        ];
        let upstream = [
            draw.normals(&[batch, sequence, heads, v_dim], 0.0, 1.0),
            draw.normals(&[batch, heads, qk_dim, v_dim], 0.0, 1.0),
            draw.normals(&[batch, heads, qk_dim], 0.0, 1.0),
        ];
        let operation = Mlstm { chunk_size, epsilon: 1e-6, input_gate: InputGate::Exponential, final_state: true };
        let (exact_outputs, exact_gradients) = evaluate((&Device::cpu(), DType::F64), operation, &inputs, &upstream);
        let (outputs, gradients) = evaluate((gpu, element), operation, &inputs, &upstream);
        let numbers = |tensors: &[Tensor]| -> Vec<Vec<f64>> { tensors.iter().map(|x| x.to_f64().unwrap()).collect() };
        let got = numbers(&outputs).into_iter().chain(gradients);
        let exact = numbers(&exact_outputs).into_iter().chain(exact_gradients);
        for (place, (got, exact)) in got.zip(exact).enumerate() {
            let error = relative_error(&got, &exact);
            assert!(error <= bound, "result {place} at {qk_dim} x {v_dim} in {}: {error:e}", element.name());
        }
    }
}
