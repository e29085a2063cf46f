use half::f16;

use super::product::Spread;
use super::*;
use crate::check::test_device::{self, gpu};
use crate::device::gpu::Options;
use crate::ops::attention::attention;
use crate::ops::mlstm::{self, mlstm_step};
use crate::ops::norm::multi_head_norm_gated;
use crate::ops::rotary::{RotaryTables, rotary_with};
use crate::ops::unary::soft_cap;
use crate::tape::Var;
use crate::tensor::{Spec, copy_range};

/// Numbers without a pattern between -1 and 1.
fn numbers(count: usize, seed: u32) -> Vec<f32> {
    let mut state = seed.wrapping_mul(2_654_435_761).wrapping_add(1);
    (0..count)
        .map(|_| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 8) as f32 / 8_388_608.0 - 1.0
        })
        .collect()
}

fn halves(count: usize, seed: u32) -> Vec<f16> {
    numbers(count, seed).into_iter().map(f16::from_f32).collect()
}

fn zeros(device: &Device, sizes: &[usize], dtype: DType) -> Tensor {
    Tensor::zeros(device, Spec::new(sizes, dtype).unwrap()).unwrap()
}

#[track_caller]
fn assert_near(what: &str, got: &[f32], expected: &[f64], tolerance: f64) {
    assert_eq!(got.len(), expected.len(), "{what}");
    let largest = expected.iter().fold(0f64, |most, x| most.max(x.abs()));
    for (place, (got, expected)) in got.iter().zip(expected).enumerate() {
        let error = (f64::from(*got) - expected).abs();
        assert!(error <= tolerance * largest, "{what}: {got} instead of {expected} at {place}");
    }
}

/// What [`Product::run`] should give, in f64.
fn defined(
    (weight, bias): (&[f16], Option<&[f32]>),
    (x, scale): (&[f32], Option<&[f32]>),
    finish: Finish,
    y: &[f32],
    rows: usize,
) -> Vec<f64> {
    let depth = weight.len() / rows;
    let (batch, stride) = (x.len() / depth, y.len() * depth / x.len());
    let mut result: Vec<f64> = y.iter().map(|&y| f64::from(y)).collect();
    for text in 0..batch {
        let mut v: Vec<f64> = x[text * depth..][..depth].iter().map(|&x| f64::from(x)).collect();
        if let Some(scale) = scale {
            let mean = v.iter().map(|x| x * x).sum::<f64>() / depth as f64;
            v.iter_mut().zip(scale).for_each(|(x, scale)| *x *= f64::from(*scale) / (mean + 1e-3).sqrt());
        }
        let sum = |row: usize| -> f64 {
            let product: f64 = (0..depth).map(|k| weight[row * depth + k].to_f64() * v[k]).sum();
            product + bias.map_or(0.0, |bias| f64::from(bias[row]))
        };
        let outputs = if finish == Finish::SwiGlu { rows / 2 } else { rows };
        for row in 0..outputs {
            let y = &mut result[text * stride + 1 + row];
            *y = match finish {
                Finish::Store => sum(row),
                Finish::Add => *y + sum(row),
                Finish::SwiGlu => sum(row) / (1.0 + (-sum(row)).exp()) * sum(row + outputs),
                Finish::Cap(cap) => cap * (sum(row) / cap).tanh(),
            };
        }
    }
    result
}

#[test]
fn products_are_as_defined() {
    let Some(device) = gpu() else { return };
    let mut spreads = std::collections::BTreeSet::new();
    for (rows, depth, batch) in
        [(6, 8, 1), (2, 24, 3), (770, 96, 1), (50, 2080, 2), (34, 512, 5), (18, 520, 11), (4100, 8, 1), (40_000, 8, 1)]
    {
        for (finish, normed, biased) in [
            (Finish::Store, true, false),
            (Finish::Store, false, false),
            (Finish::Store, true, true),
            (Finish::Add, false, false),
            (Finish::Add, false, true),
            (Finish::SwiGlu, true, false),
            (Finish::SwiGlu, true, true),
            (Finish::Cap(0.5), true, false),
        ] {
            let pair = finish == Finish::SwiGlu;
            let outputs = if pair { rows / 2 } else { rows };
            let Spread { team, each, texts } = Spread::of(outputs, depth, batch, pair);
            spreads.insert((team, each, texts));
            let (weight, x, scale) = (halves(rows * depth, 1), numbers(batch * depth, 2), numbers(depth, 3));
            let bias = biased.then(|| numbers(rows, 5));
            let bias_tensor = bias.as_ref().map(|bias| Tensor::new(&device, &[rows], bias).unwrap());
            // A column before and one behind stay as they are.
            let before = numbers(batch * (outputs + 2), 4);
            let mut y = Tensor::new(&device, &[batch, outputs + 2], &before).unwrap();
            let tensors = (
                Tensor::new(&device, &[rows, depth], &weight).unwrap(),
                Tensor::new(&device, &[batch, depth], &x).unwrap(),
                Tensor::new(&device, &[depth], &scale).unwrap(),
            );
            let normed_by = normed.then_some((&tensors.2, 1e-3));
            let (weight_tensor, x_tensor, bias_tensor) = (&tensors.0, &tensors.1, bias_tensor.as_ref());
            let product =
                Product { weight: weight_tensor, bias: bias_tensor, x: x_tensor, normed: normed_by, finish, first: 1 };
            product.run(&mut y).unwrap();
            let normed_by = normed.then_some(scale.as_slice());
            let expected = defined((&weight, bias.as_deref()), (&x, normed_by), finish, &before, rows);
            assert_near(
                &format!("{rows} x {depth}, {batch}, {finish:?}, bias {biased}"),
                &y.to_vec::<f32>().unwrap(),
                &expected,
                // f32 sums of `depth` products; below a tenth of 2e-6 on lavapipe.
                5e-7 * (depth as f64).sqrt(),
            );
        }
    }
    assert!(spreads.len() >= 6, "{spreads:?}");
}

#[test]
fn products_are_spread_so_that_a_large_gpu_is_busy() {
    let spread = |outputs, depth, batch, pair| {
        let Spread { team, each, texts } = Spread::of(outputs, depth, batch, pair);
        [team, each, texts]
    };
    // Of xLSTM 7B: projections, head, SwiGLU; of 160M: projections and the way back.
    assert_eq!(spread(12_304, 4096, 1, false), [32, 2, 1]);
    assert_eq!(spread(50_304, 4096, 1, false), [32, 4, 1]);
    assert_eq!(spread(10_944, 4096, 1, true), [32, 4, 1]);
    assert_eq!(spread(2316, 768, 1, false), [64, 1, 1]);
    assert_eq!(spread(768, 2112, 1, false), [256, 1, 1]);
    assert_eq!(spread(12_304, 4096, 32, false), [32, 4, 8]);
    assert_eq!(spread(768, 2112, 8, false), [256, 2, 8]);
}

#[test]
fn what_does_not_fit_is_refused() {
    let Some(device) = gpu() else { return };
    let [weight, x] = [[6, 8], [2, 8]].map(|sizes| zeros(&device, &sizes, DType::F32));
    let half = zeros(&device, &[6, 8], DType::F16);
    let run = |weight: &Tensor, x: &Tensor, columns: usize, first: usize| {
        let mut y = zeros(&device, &[2, columns], DType::F32);
        Product { weight, bias: None, x, normed: None, finish: Finish::Store, first }
            .run(&mut y)
            .unwrap_err()
            .to_string()
    };
    assert!(run(&weight, &x, 6, 0).contains("must be f16"));
    assert!(run(&zeros(&device, &[6, 12], DType::F16), &x, 6, 0).contains("multiple of 8"));
    assert!(run(&half, &x, 5, 0).contains("do not fit"));
    assert!(run(&half, &x, 6, 1).contains("from 1 on do not fit"));
    let with_bias = |bias: usize, finish: Finish| {
        let (bias, mut y) = (zeros(&device, &[bias], DType::F32), zeros(&device, &[2, 6], DType::F32));
        let product = Product { weight: &half, bias: Some(&bias), x: &x, normed: None, finish, first: 0 };
        product.run(&mut y).unwrap_err().to_string()
    };
    assert!(with_bias(5, Finish::Store).contains("the bias must have 6 elements"));
    assert!(with_bias(6, Finish::Cap(1.0)).contains("has no bias"));
    let on_cpu = zeros(&Device::cpu(), &[6, 8], DType::F16);
    assert!(run(&on_cpu, &x, 6, 0).contains("run on a GPU"));
}

#[test]
fn embedding_gives_rows_moves_on_and_reports_what_is_no_token() {
    // A device of its own: the fault of the wrong token is for no other test.
    let Some(device) = gpu().map(|_| test_device::own(Options::default())) else { return };
    let table = halves(5 * 16, 1);
    let tensor = Tensor::new(&device, &[5, 16], &table).unwrap();
    let mut x = zeros(&device, &[3, 16], DType::F32);
    let mut position = Tensor::new(&device, &[1], &[u32::MAX]).unwrap();
    let tokens = Tensor::new(&device, &[3], &[4u32, 0, 4]).unwrap();
    for expected in [0, 1] {
        embed(&tensor, &tokens, &mut x, &mut position).unwrap();
        assert_eq!(position.to_vec::<u32>().unwrap(), [expected]);
    }
    let row = |row: usize| table[16 * row..][..16].iter().map(|x| x.to_f32());
    assert_eq!(x.to_vec::<f32>().unwrap(), row(4).chain(row(0)).chain(row(4)).collect::<Vec<_>>());
    let wrong = Tensor::new(&device, &[3], &[4u32, 5, 4]).unwrap();
    embed(&tensor, &wrong, &mut x, &mut position).unwrap();
    let error = x.to_vec::<f32>().unwrap_err().to_string();
    assert!(error.contains("index 5 is not below 5"), "{error}");
}

/// Steps beside attention over all that came before, with keys and values rounded to f16 as the cache has them.
#[test]
fn attention_of_each_position_is_that_of_the_whole() {
    let Some(device) = gpu() else { return };
    for (heads, kv_heads, head_dim, before) in
        [(4, 2, 8, 0), (2, 1, 72, 63), (3, 3, 128, 64), (1, 1, 256, 2200), (2, 2, 64, 4200)]
    {
        let (batch, steps) = (2, 2);
        let (sizes, capacity) = (Attention { heads, kv_heads, head_dim }, before + steps + 3);
        let tables = RotaryTables::new(10_000.0, head_dim, 0, capacity).unwrap();
        let row = kv_heads * head_dim;
        let cache = |seed| {
            let mut values = halves(batch * capacity * row, seed);
            // What was not written must not be read.
            for text in 0..batch {
                values[(text * capacity + before) * row..(text + 1) * capacity * row].fill(f16::NAN);
            }
            Tensor::new(&device, &[batch, capacity, kv_heads, head_dim], &values).unwrap()
        };
        let (mut key, mut value) = (cache(1), cache(2));
        let mut parts = zeros(&device, &[batch, heads, parts_for(capacity), head_dim + 2], DType::F32);
        let mut output = zeros(&device, &[batch, heads * head_dim], DType::F32);
        for step in 0..steps {
            let at = before + step;
            let position = Tensor::new(&device, &[1], &[at as u32]).unwrap();
            let mut columns = numbers(batch * sizes.width(), 3 + step as u32);
            columns.iter_mut().for_each(|x| *x *= 3.0);
            let mut projection = Tensor::new(&device, &[batch, sizes.width()], &columns).unwrap();
            sizes.rotate(&mut projection, &tables, &position, &mut key, &mut value).unwrap();
            sizes.run(&projection, (&key, &value), (&position, at + 1), &mut parts, &mut output).unwrap();

            // The same by the operations that a model is trained with.
            let whole = |tensor: &Tensor| {
                let values: Vec<f32> = tensor.to_f64().unwrap().iter().map(|&x| x as f32).collect();
                let kept: Vec<f32> =
                    values.chunks(capacity * row).flat_map(|text| text[..(at + 1) * row].to_vec()).collect();
                Var::constant(Tensor::new(&device, &[batch, at + 1, kv_heads, head_dim], &kept).unwrap())
            };
            let part = |first: usize, heads: usize| -> Var {
                let columns: Vec<f32> =
                    columns.chunks(sizes.width()).flat_map(|text| text[first..][..heads * head_dim].to_vec()).collect();
                Tensor::new(&device, &[batch, 1, heads, head_dim], &columns).unwrap().into()
            };
            let query = rotary_with(&part(0, heads), &tables, at).unwrap();
            let expected = attention(&query, &whole(&key), &whole(&value)).unwrap().tensor().to_f64().unwrap();
            let name = format!("{heads} heads of {head_dim} at {at}");
            assert_near(&name, &output.to_vec::<f32>().unwrap(), &expected, 1e-5); // measured on lavapipe: below 3e-6
            let new_key = rotary_with(&part(heads * head_dim, kv_heads), &tables, at).unwrap();
            let mut cached = zeros(&device, &[batch, 1, kv_heads, head_dim], DType::F16);
            for text in 0..batch {
                copy_range(&mut cached, text * row, &key, (text * capacity + at) * row, row).unwrap();
            }
            let cached: Vec<f32> = cached.to_f64().unwrap().iter().map(|&x| x as f32).collect();
            assert_near(&name, &cached, &new_key.tensor().to_f64().unwrap(), 5e-4); // half a unit of f16 is 4.9e-4
        }
    }
}

#[test]
fn steps_of_the_mlstm_are_those_of_its_operations() {
    let Some(device) = gpu() else { return };
    for (batch, heads, qk_dim, v_dim) in [(1, 3, 8, 16), (3, 2, 40, 36), (2, 1, 300, 520)] {
        let layer = Mlstm { heads, qk_dim, v_dim, gate_cap: 15.0, cell_epsilon: 1e-6, norm_epsilon: 1e-5 };
        let (bias, scale) = (numbers(2 * heads, 1), numbers(heads * v_dim, 2));
        let bias_tensor = Tensor::new(&device, &[2, heads], &bias).unwrap();
        let scale_tensor = Tensor::new(&device, &[heads * v_dim], &scale).unwrap();
        let mut before = mlstm::State::empty(&device, batch, heads, qk_dim, v_dim).unwrap();
        let mut memory = zeros(&device, &[batch, heads, qk_dim, v_dim], DType::F32);
        let mut normalizer = zeros(&device, &[batch, heads, qk_dim], DType::F32);
        let mut stabilizer = zeros(&device, &[batch, heads], DType::F32);
        let mut numerator = zeros(&device, &[batch, heads * v_dim], DType::F32);
        let mut y = zeros(&device, &[batch, heads * v_dim], DType::F32);
        for step in 0..4 {
            let mut columns = numbers(batch * layer.width(), 10 + step);
            let gates = layer.width() - 2 * heads;
            // Gates far on both sides.
            for text in columns.chunks_mut(layer.width()) {
                text[gates..].iter_mut().for_each(|gate| *gate *= 20.0);
            }
            let projection = Tensor::new(&device, &[batch, layer.width()], &columns).unwrap();
            let state = Recurrence { memory: &mut memory, normalizer: &mut normalizer, stabilizer: &mut stabilizer };
            layer.run(&projection, (&bias_tensor, &scale_tensor), state, &mut numerator, &mut y).unwrap();

            let part = |first: usize, sizes: &[usize]| -> Var {
                let count: usize = sizes.iter().product();
                let columns: Vec<f32> =
                    columns.chunks(layer.width()).flat_map(|text| text[first..][..count].to_vec()).collect();
                Tensor::new(&device, &[&[batch, 1], sizes].concat(), &columns).unwrap().into()
            };
            let (qk, v) = (heads * qk_dim, heads * v_dim);
            let gate = |place: usize| {
                let columns: Vec<f32> = columns
                    .chunks(layer.width())
                    .flat_map(|text| {
                        (0..heads)
                            .map(|head| text[gates + place * heads + head] + bias[place * heads + head])
                            .collect::<Vec<_>>()
                    })
                    .collect();
                soft_cap(&Tensor::new(&device, &[batch, 1, heads], &columns).unwrap().into(), 15.0).unwrap()
            };
            let (h, after) = mlstm_step(
                &part(0, &[heads, qk_dim]),
                &part(qk, &[heads, qk_dim]),
                &part(2 * qk, &[heads, v_dim]),
                &gate(0),
                &gate(1),
                &before,
                mlstm::Options { epsilon: 1e-6, ..Default::default() },
            )
            .unwrap();
            let expected =
                multi_head_norm_gated(&h, &scale_tensor.clone().into(), &part(2 * qk + v, &[v]), 1e-5).unwrap();
            let name = format!("{batch} texts, {heads} heads of {qk_dim} and {v_dim}, step {step}");
            for (what, got, expected) in [
                ("y", &y, expected.tensor()),
                ("memory", &memory, after.memory.tensor()),
                ("normalizer", &normalizer, after.normalizer.tensor()),
                ("stabilizer", &stabilizer, after.stabilizer.tensor()),
            ] {
                assert_near(
                    &format!("{name}: {what}"),
                    &got.to_vec::<f32>().unwrap(),
                    &expected.to_f64().unwrap(),
                    1e-5, // measured on lavapipe: 3.0e-6
                );
            }
            before = after;
        }
    }
}
