//! Single steps over a cache.

use super::*;

const ROWS: usize = 37;

/// The step at `time` of a whole: its query row alone, over a cache that holds not-a-number where nothing was written yet.
fn step(whole: &Case, time: usize) -> Case {
    let mut inputs = whole.inputs.clone();
    let &[batch, rows, heads, head_dim] = &whole.inputs[0].array.sizes[..] else { panic!("four dimensions") };
    let row = heads * head_dim;
    let query = (0..batch).flat_map(|b| &whole.inputs[0].array.data[(b * rows + time) * row..][..row]).copied();
    inputs[0] = Input::float(&[batch, 1, heads, head_dim], query.collect());
    for input in &mut inputs[1..3] {
        let of_entry = input.array.data.len() / batch;
        for entry in input.array.data.chunks_mut(of_entry) {
            entry[(time + 1) * of_entry / rows..].fill(f64::NAN);
        }
    }
    let options = AttentionOptions { key_length: Some(time + 1) };
    let documents = inputs.len() == 4;
    if documents {
        let first = (0..batch).map(|b| whole.inputs[3].array.data[b * rows + time] as usize);
        inputs[3] = Input::index(&[batch, 1], &first.collect::<Vec<_>>());
    }
    Case::new(Attention { options, documents }, inputs)
}

fn check(whole: &Case) {
    let &[batch, rows, heads, head_dim] = &whole.inputs[0].array.sizes[..] else { panic!("four dimensions") };
    let row = heads * head_dim;
    let upstream = |rows: usize| Input::float(&[batch, rows, heads, head_dim], vec![1.0; batch * rows * row]);
    for device in devices() {
        let full = compute(whole, &upstream(rows), &device, DType::F32);
        for time in (0..rows).step_by(3) {
            let found = compute(&step(whole, time), &upstream(1), &device, DType::F32);
            // Output and gradient of the query are those of the row in the whole.
            for place in [0, 2] {
                let expected: Vec<f64> =
                    (0..batch).flat_map(|b| &full[place][(b * rows + time) * row..][..row]).copied().collect();
                let most = full[place].iter().fold(0f64, |most, x| most.max(x.abs()));
                let far = found[place].iter().zip(&expected).fold(0f64, |far, (a, b)| far.max((a - b).abs()));
                assert!(far <= 2e-6 * most, "{far:e} at {place} of step {time} on {device:?}");
            }
            for d_key in &found[3..] {
                let of_entry = d_key.len() / batch;
                let unused = d_key.chunks(of_entry).flat_map(|entry| &entry[(time + 1) * of_entry / rows..]);
                assert!(unused.into_iter().all(|&x| x == 0.0), "unused rows have gradient 0");
            }
        }
    }
}

#[test]
fn steps_equal_the_whole_and_unused_rows_are_not_read() {
    check(&plain(inputs(21, [2, ROWS, 4, 24], ROWS, 2, 1.0)));
}

#[test]
fn steps_equal_the_whole_with_documents() {
    for seed in 0..3 {
        let first_key = cases::first_key(&mut Draw::new(seed, 0), [2, ROWS], 0);
        check(&with_documents(AttentionOptions::default(), inputs(22, [2, ROWS, 4, 24], ROWS, 2, 1.0), first_key));
    }
}

#[test]
fn the_gradients_of_the_steps_add_up_to_those_of_the_whole() {
    let first_key = cases::first_key(&mut Draw::new(1, 0), [1, ROWS], 0);
    let whole = with_documents(AttentionOptions::default(), inputs(23, [1, ROWS, 2, 20], ROWS, 1, 1.0), first_key);
    let upstream = |rows: usize| Input::float(&[1, rows, 2, 20], vec![1.0; rows * 40]);
    for device in devices() {
        let full = compute(&whole, &upstream(ROWS), &device, DType::F32);
        let mut sums = [vec![0.0; ROWS * 20], vec![0.0; ROWS * 20]];
        for time in 0..ROWS {
            let found = compute(&step(&whole, time), &upstream(1), &device, DType::F32);
            for (sum, part) in sums.iter_mut().zip(&found[3..]) {
                sum.iter_mut().zip(part).for_each(|(sum, x)| *sum += x);
            }
        }
        assert!(distance(&full[3], &sums[0]) < 2e-6, "d_key on {device:?}");
        assert!(distance(&full[4], &sums[1]) < 2e-6, "d_value on {device:?}");
    }
}
