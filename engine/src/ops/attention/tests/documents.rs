//! Documents that follow each other in a sequence.

use super::*;
use crate::Error;
use crate::device::gpu::Options;
use crate::ops::attention::documents::first_keys;

/// Rows `from..to` of a [batch, rows, heads, head_dim] input.
fn cut(input: &Input, from: usize, to: usize) -> Input {
    let &[batch, rows, heads, head_dim] = &input.array.sizes[..] else { panic!("four dimensions") };
    let row = heads * head_dim;
    let data = input.array.data.chunks(rows * row).flat_map(|entry| &entry[from * row..to * row]);
    Input::float(&[batch, to - from, heads, head_dim], data.copied().collect())
}

#[test]
fn first_keys_are_the_starts_of_documents() {
    let starts = [false, false, true, false, true, true, true, false, false, false];
    assert_eq!(first_keys(&starts, 5).unwrap(), [0, 0, 2, 2, 4, 0, 1, 1, 1, 1]);
    assert_eq!(first_keys(&starts, 10).unwrap(), [0, 0, 2, 2, 4, 5, 6, 6, 6, 6]);
    assert!(first_keys(&[], 0).unwrap().is_empty());
    assert!(first_keys(&[], 5).unwrap().is_empty());
    assert!(first_keys(&starts, 4).unwrap_err().to_string().contains("10 flags are no whole sequences of 4"));
    assert!(first_keys(&starts, 0).is_err());
}

#[test]
fn documents_are_as_if_alone() {
    const ROWS: usize = 200;
    let borders = [0, 1, 2, 40, 130, 131, 199, ROWS];
    let starts: Vec<bool> = (0..2 * ROWS).map(|place| borders.contains(&(place % ROWS))).collect();
    let first_key: Vec<usize> = first_keys(&starts, ROWS).unwrap().into_iter().map(|key| key as usize).collect();
    let inputs = inputs(31, [2, ROWS, 4, 24], ROWS, 2, 1.0);
    let d_output = Draw::new(32, 0).normals(&[2, ROWS, 4, 24], 0.0, 1.0);
    let packed = with_documents(AttentionOptions::default(), inputs.clone(), Input::index(&[2, ROWS], &first_key));
    for device in devices() {
        let packed = compute(&packed, &d_output, &device, DType::F32);
        for border in borders.windows(2) {
            let alone = plain(inputs.iter().map(|input| cut(input, border[0], border[1])).collect());
            let alone = compute(&alone, &cut(&d_output, border[0], border[1]), &device, DType::F32);
            for (place, heads) in [(0, 4), (2, 4), (3, 2), (4, 2)] {
                let whole = Input::float(&[2, ROWS, heads, 24], packed[place].clone());
                let found = cut(&whole, border[0], border[1]).array.data;
                let far = found.iter().zip(&alone[place]).fold(0f64, |far, (a, b)| far.max((a - b).abs()));
                assert!(far < 1e-5, "{far:e} at {place} of document {border:?} on {device:?}");
                // A document of one position has one key: nothing flows to it or to its query.
                let single = border[1] - border[0] == 1 && [2, 3].contains(&place);
                assert!(!single || found.iter().all(|&x| x == 0.0), "{place} of document {border:?} on {device:?}");
            }
        }
    }
}

#[test]
fn tiles_that_nobody_sees_are_not_read() {
    const ROWS: usize = 256;
    // All of the second half sees the second half only.
    let first_key: Vec<usize> =
        (0..ROWS).map(|row| if row < 128 { 0 } else { 128 + (row * 7) % (row - 127) }).collect();
    let documents =
        |inputs: Vec<Input>| with_documents(AttentionOptions::default(), inputs, Input::index(&[1, ROWS], &first_key));
    let clean = inputs(33, [1, ROWS, 2, 16], ROWS, 1, 1.0);
    let d_output = Draw::new(34, 0).normals(&[1, ROWS, 2, 16], 0.0, 1.0);
    let mut spoilt = clean.clone();
    for input in &mut spoilt {
        let half = input.array.data.len() / 2;
        input.array.data[..half].fill(f64::NAN);
    }
    for device in devices() {
        let exact = compute(&documents(clean.clone()), &d_output, &device, DType::F32);
        let found = compute(&documents(spoilt.clone()), &d_output, &device, DType::F32);
        for place in [0, 2, 3, 4] {
            let half = exact[place].len() / 2;
            assert_eq!(exact[place][half..], found[place][half..], "{place} on {device:?}");
        }
        // And the other way about: nothing of the second half reaches the gradients of the first.
        let mut spoilt = clean.clone();
        for input in &mut spoilt {
            let half = input.array.data.len() / 2;
            input.array.data[half..].fill(f64::NAN);
        }
        let found = compute(&documents(spoilt), &d_output, &device, DType::F32);
        for place in [0, 2, 3, 4] {
            let half = exact[place].len() / 2;
            assert_eq!(exact[place][..half], found[place][..half], "{place} on {device:?}");
        }
    }
}

/// Output and lead to the gradients of a case whose query `bad` has a first key beyond its last.
fn spoilt(device: &Device, queries: usize, keys: usize, bad: usize) -> crate::Result<(Tensor, Vec<Option<Tensor>>)> {
    let case = plain(inputs(35, [2, queries, 2, 8], keys, 1, 1.0));
    let mut first_key = vec![0u32; 2 * queries];
    first_key[queries + bad] = (bad + keys - queries + 1) as u32;
    let mut tensors: Vec<Tensor> = case.inputs.iter().map(|input| input.tensor(device, DType::F32).unwrap()).collect();
    tensors.push(Tensor::new(device, &[2, queries], &first_key).unwrap());
    let operation = Attention { documents: true, ..Attention::default() };
    let outputs = run(&operation, &tensors.iter().collect::<Vec<_>>())?;
    let specs: Vec<Spec> = tensors.iter().map(Tensor::spec).collect();
    let context = Context {
        operation: "attention",
        input_specs: &specs,
        inputs: &tensors.iter().cloned().map(Some).collect::<Vec<_>>(),
        outputs: &outputs.iter().cloned().map(Some).collect::<Vec<_>>(),
        d_outputs: &[Some(Tensor::new(device, outputs[0].sizes(), &vec![1f32; outputs[0].elements()]).unwrap())],
        needs: &[true, true, true, false],
    };
    Ok((outputs[0].clone(), run_backward(&operation, &context)?))
}

#[test]
fn a_query_that_sees_nothing_is_an_error() {
    for (queries, keys, bad) in [(70, 75, 66), (1, 150, 0)] {
        let limit = bad + keys - queries + 1;
        let message = spoilt(&Device::cpu(), queries, keys, bad).unwrap_err().to_string();
        let of = format!("attention: first_key {limit} of query {bad} of batch entry 1 is not below {limit}");
        assert!(message.contains(&of), "{message}");
        // A device of its own: another test's read-back would meet the error.
        let Some(gpu) = test_device::gpu().map(|_| test_device::own(Options::default())) else { continue };
        let (output, gradients) = spoilt(&gpu, queries, keys, bad).unwrap();
        let error = output.to_vec::<f32>().unwrap_err();
        assert!(matches!(error, Error::Index { .. }));
        assert_eq!(error.to_string(), format!("attention: first_key: index {limit} is not below {limit}"));
        // The error comes once; the row is not a number, nothing of it is in the gradients, and the device goes on.
        let row = 2 * 8;
        for (place, values) in output.to_vec::<f32>().unwrap().chunks(row).enumerate() {
            assert!(values.iter().all(|x| x.is_nan() == (place == queries + bad)), "row {place}");
        }
        for gradient in gradients.into_iter().flatten() {
            assert!(gradient.to_vec::<f32>().unwrap().iter().all(|x| x.is_finite()));
        }
    }
}
