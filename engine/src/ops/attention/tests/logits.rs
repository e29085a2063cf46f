//! Logits up to the ends of f32, where one key has all the weight.

use super::*;

const HEAD_DIM: usize = 16;

/// A case whose query and key are as in `inputs`, times these.
fn scaled(queries: usize, keys: usize, query_scale: f64, key_scale: f64) -> Vec<Input> {
    let mut inputs = inputs(11, [1, queries, 2, HEAD_DIM], keys, 1, 1.0);
    for (place, scale) in [(0, query_scale), (1, key_scale)] {
        let data = inputs[place].array.data.iter().map(|x| x * scale).collect();
        inputs[place] = Input::float(&inputs[place].array.sizes.clone(), data);
    }
    inputs
}

/// Scores of both signs, and all far below what a mask could be: sizes 1e4 to 1e37.
fn cases() -> Vec<Vec<Input>> {
    let mut cases = Vec::new();
    for (queries, keys) in [(70, 75), (1, 130)] {
        for (query_scale, key_scale) in [(1e2, 1e2), (1e15, 1e15), (1e18, 1e18), (1e36, 1.0), (1.0, 1e36)] {
            cases.push(scaled(queries, keys, query_scale, key_scale));
            let mut low = scaled(queries, keys, query_scale, -key_scale);
            for input in &mut low[..2] {
                let sign = input.array.data[0].signum();
                input.array.data.iter_mut().for_each(|x| *x = sign * x.abs());
            }
            let sign = -low[0].array.data[0].signum() * low[1].array.data[0].signum();
            low[1].array.data.iter_mut().for_each(|x| *x *= sign);
            cases.push(low);
        }
    }
    cases
}

/// Σ_d |a[d] b[d]| of each row's winner is what rounding leaves of ds, so of the gradients of query and key.
#[test]
fn one_key_has_all_the_weight() {
    for (at, inputs) in cases().into_iter().enumerate() {
        let &[_, queries, heads, _] = &inputs[0].array.sizes[..] else { panic!() };
        let sizes = [1, queries, heads, HEAD_DIM];
        let d_output = Draw::new(12, 0).normals(&sizes, 0.0, 1.0);
        let most = |input: &Input| input.array.data.iter().fold(0f64, |most, x| most.max(x.abs()));
        // |dO · v| of a row is below this; of its rounding ds is made, times query or key.
        let ds = 1e-6 * most(&d_output) * most(&inputs[2]) * HEAD_DIM as f64 * queries as f64;
        let (query, key) = (most(&inputs[0]), most(&inputs[1]));
        let case = if at % 3 == 0 {
            let first_key =
                cases::first_key(&mut Draw::new(at as u64, 0), [1, queries], inputs[1].array.sizes[1] - queries);
            with_documents(AttentionOptions::default(), inputs, first_key)
        } else {
            plain(inputs)
        };
        let exact = compute(&case, &d_output, &Device::cpu(), DType::F64);
        for device in devices() {
            let found = compute(&case, &d_output, &device, DType::F32);
            let context = format!("case {at}: {} on {device:?}", case.describe());
            let away = |place: usize| {
                assert!(found[place].iter().all(|x| x.is_finite()), "{place} is not finite in {context}");
                let pairs = found[place].iter().zip(&exact[place]);
                pairs.fold(0f64, |far, (a, b)| far.max((a - b).abs()))
            };
            let scale = |place: usize| exact[place].iter().fold(1f64, |most, x| most.max(x.abs()));
            // At 1e4 two keys may share the weight, which rounding of the scores then moves by 1e-3.
            let shared = if query * key < 1e6 { 1e-2 } else { 1e-5 };
            assert!(away(0) <= shared, "output is {} away in {context}", away(0));
            assert!(away(4) <= shared * scale(4), "d_value is {} away in {context}", away(4));
            assert!(away(2) <= ds * key + shared * scale(2), "d_query is {} away in {context}", away(2));
            assert!(away(3) <= ds * query + shared * scale(3), "d_key is {} away in {context}", away(3));
        }
    }
}

/// Two keys that are the same share the weight however large their score is.
#[test]
fn equal_keys_share_the_weight() {
    let mut inputs = scaled(40, 40, 1e10, 1e10);
    let row = inputs[1].array.data[..HEAD_DIM].to_vec();
    inputs[1].array.data.chunks_mut(HEAD_DIM).for_each(|key| key.copy_from_slice(&row));
    let d_output = Draw::new(12, 0).normals(&[1, 40, 2, HEAD_DIM], 0.0, 1.0);
    let case = plain(inputs);
    let exact = compute(&case, &d_output, &Device::cpu(), DType::F64);
    for device in devices() {
        let found = compute(&case, &d_output, &device, DType::F32);
        for place in [0, 4] {
            assert!(distance(&found[place], &exact[place]) < 1e-5, "{place} on {device:?}");
        }
    }
}

/// A score that f32 cannot hold makes the rows that see it not a number, or as the definition says; never the others.
#[test]
fn a_score_over_f32_spoils_the_rows_that_see_it_alone() {
    for (queries, sign) in [(70, 1.0), (70, -1.0), (1, 1.0), (1, -1.0)] {
        let keys = 70;
        let mut inputs = inputs(13, [1, queries, 1, HEAD_DIM], keys, 1, 1.0);
        inputs[0].array.data.iter_mut().for_each(|x| *x = x.abs() * 1e19);
        let key = 50;
        inputs[1].array.data[key * HEAD_DIM..][..HEAD_DIM].fill(sign * 1e22);
        // Both as the nearest f32.
        for input in &mut inputs[..2] {
            *input = Input::float(&input.array.sizes, input.array.data.clone());
        }
        let case = plain(inputs);
        let exact = &case.define()[0].value.data;
        for device in devices() {
            let tensors: Vec<Tensor> =
                case.inputs.iter().map(|input| input.tensor(&device, DType::F32).unwrap()).collect();
            let found = run(&*case.operation, &tensors.iter().collect::<Vec<_>>()).unwrap()[0].to_f64().unwrap();
            for (row, (found, exact)) in found.chunks(HEAD_DIM).zip(exact.chunks(HEAD_DIM)).enumerate() {
                let seen = row + keys - queries >= key;
                let spoilt = found.iter().all(|x| x.is_nan());
                let right = found.iter().zip(exact).all(|(a, b)| (a - b).abs() < 1e-5);
                assert!(right || (seen && spoilt), "row {row} of {queries} on {device:?}: {found:?}, exact {exact:?}");
            }
        }
    }
}
