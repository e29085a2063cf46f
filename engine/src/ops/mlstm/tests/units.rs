//! f16 at sizes that the table of checks does not reach: many cells, for which states are computed in large tiles, and heads of
//! several tiles. Where there are no matrix units, the plain kernels compute them.

use super::*;

#[test]
fn wide_heads_in_mixed_precision() {
    let Some(gpu) = gpu().filter(|gpu| half_missing(gpu).is_none()) else { return };
    let sizes = [([8, 70, 4], [64, 256], 32), ([1, 150, 2], [144, 272], 64), ([2, 100, 1], [256, 336], 100)];
    for (seed, ([batch, sequence, heads], [qk_dim, v_dim], chunk_size)) in (41..).zip(sizes) {
        let mut draw = Draw::new(seed, 0);
        let inputs = vec![
            draw.normals(&[batch, sequence, heads, qk_dim], 0.3, 1.0).half(),
            draw.normals(&[batch, sequence, heads, qk_dim], 0.3, 1.0).half(),
            draw.normals(&[batch, sequence, heads, v_dim], 0.0, 1.0).half(),
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
        let (outputs, gradients) = evaluate((&gpu, DType::F16), operation, &inputs, &upstream);
        let numbers = |tensors: &[Tensor]| -> Vec<Vec<f64>> { tensors.iter().map(|x| x.to_f64().unwrap()).collect() };
        let got = numbers(&outputs).into_iter().chain(gradients);
        let exact = numbers(&exact_outputs).into_iter().chain(exact_gradients);
        for (place, (got, exact)) in got.zip(exact).enumerate() {
            let error = relative_error(&got, &exact);
            assert!(error <= 5e-3, "result {place} at {qk_dim} x {v_dim}: {error:e}");
        }
    }
}
