//! Elementary functions at every magnitude that f32 has, of both signs: never NaN where the value is a number, and right, on
//! the CPU and on a GPU, forward and backward.

mod device;

use gradus_engine::device::gpu::Options;
use gradus_engine::operation::Operation;
use gradus_engine::ops::softmax::Softmax;
use gradus_engine::ops::swiglu::SwiGlu;
use gradus_engine::ops::unary::Unary;
use gradus_engine::tape::apply_one;
use gradus_engine::{DType, Device, Result, Tape, Tensor, Var};

/// ±10^k in steps of a twentieth of a decade over the normal numbers, zeros, and where exponentials turn.
fn sweep() -> Vec<f32> {
    let magnitudes = (-740..=765).map(|k| 10f64.powf(f64::from(k) / 20.0) as f32);
    let turns =
        [0.0, 1.0, 8.0, 9.0, 10.0, 16.6, 17.3, 43.9, 44.1, 86.9, 87.1, 88.0, 88.7, 89.0, 103.9, 104.1, 127.0, 128.0];
    magnitudes.chain(turns).flat_map(|x| [x, -x]).filter(|x| x.is_finite()).collect()
}

fn devices() -> Vec<Device> {
    std::iter::once(Device::cpu()).chain(device::open(Options::from_environment())).collect()
}

fn tensor(device: &Device, dtype: DType, data: &[f32], sizes: &[usize]) -> Result<Tensor> {
    match dtype {
        DType::F64 => Tensor::new(device, sizes, &data.iter().map(|&x| f64::from(x)).collect::<Vec<_>>()),
        _ => Tensor::new(device, sizes, data),
    }
}

/// The output and the gradients for an upstream gradient of 1.
fn evaluate(
    operation: impl Operation,
    inputs: &[&[f32]],
    sizes: &[usize],
    device: &Device,
    dtype: DType,
) -> Result<Vec<Vec<f64>>> {
    let tape = Tape::new();
    let leaves: Vec<Var> =
        inputs.iter().map(|data| Ok(tape.leaf(tensor(device, dtype, data, sizes)?))).collect::<Result<_>>()?;
    let y = apply_one(operation, &leaves.iter().collect::<Vec<_>>())?;
    let ones = tensor(device, dtype, &vec![1.0; y.tensor().elements()], y.sizes())?;
    let mut results = vec![y.tensor().to_f64()?];
    let mut gradients = tape.backward_from(vec![(y, ones)])?;
    for leaf in &leaves {
        results.push(gradients.take(leaf).map_or(Ok(Vec::new()), |gradient| gradient.to_f64())?);
    }
    Ok(results)
}

/// Whether `got` is what f32 may make of `exact`: right to 1e-5, or beyond the ends of f32. Kernels take e^88 for everything
/// larger and 0 for e^x below x = −87, so the ends are 1.6e38 and, times an x of 88, some 1e-36.
fn is_right(got: f64, exact: f64) -> bool {
    let (huge, tiny) = (1.6e38, 3e-36);
    let beyond = exact.abs() > huge && got.abs() >= huge && got.signum() == exact.signum();
    beyond || (got - exact).abs() <= 1e-5 * exact.abs() + tiny
}

#[test]
fn functions_of_one_number_are_right_at_every_magnitude() {
    let everywhere = [
        Unary::Sigmoid,
        Unary::Tanh,
        Unary::SoftCap(15.0),
        Unary::SoftCap(30.0),
        Unary::Exp,
        Unary::Silu,
        Unary::Gelu,
        Unary::LogSigmoid,
        Unary::Softplus,
        Unary::Scale(2.0),
    ];
    let positive = [Unary::Log, Unary::Sqrt, Unary::Power(0.5), Unary::Power(-1.5)];
    let mut wrong = Vec::new();
    for device in devices() {
        let of = |function: Unary, x: &[f32]| {
            let exact = evaluate(function, &[x], &[x.len()], &Device::cpu(), DType::F64).unwrap();
            let got = evaluate(function, &[x], &[x.len()], &device, DType::F32).unwrap();
            let mut wrong = Vec::new();
            for (what, (got, exact)) in ["value", "slope"].into_iter().zip(got.iter().zip(&exact)) {
                for ((x, &got), &exact) in x.iter().zip(got).zip(exact) {
                    // Where even f64 has no number, as for a slope of infinity times 0, nothing is asked.
                    if exact.is_finite() && !is_right(got, exact) {
                        wrong.push(format!(
                            "{what} of {function:?} at {x:e} is {got:e}, exactly {exact:e}, on {device:?}"
                        ));
                    }
                }
            }
            wrong
        };
        let all = sweep();
        let above: Vec<f32> = all.iter().copied().filter(|&x| x > 0.0).collect();
        wrong.extend(everywhere.into_iter().flat_map(|function| of(function, &all)));
        wrong.extend(positive.into_iter().flat_map(|function| of(function, &above)));
    }
    // One of each kind is enough to read.
    let kind = |text: &String| (text.split(" at ").next().map(str::to_owned), text.ends_with("})"));
    let count = wrong.len();
    wrong.dedup_by_key(|text| kind(text));
    assert!(wrong.is_empty(), "{count} wrong, for instance:\n{}", wrong.join("\n"));
}

#[test]
fn functions_of_several_numbers_make_no_nan_at_any_magnitude() {
    let all = sweep();
    let count = all.len();
    let mut shuffled = all.clone();
    shuffled.rotate_left(count / 3);
    for device in devices() {
        for softmax in [Softmax::Probability, Softmax::Logarithm] {
            // Rows of a few numbers of all magnitudes beside each other.
            let rows: Vec<f32> = (0..count / 8 * 8).map(|at| all[at * 733 % count]).collect();
            let sizes = [rows.len() / 8, 8];
            let exact = evaluate(softmax, &[&rows], &sizes, &Device::cpu(), DType::F64).unwrap();
            let got = evaluate(softmax, &[&rows], &sizes, &device, DType::F32).unwrap();
            for (at, (&got, &exact)) in got.iter().flatten().zip(exact.iter().flatten()).enumerate() {
                let scale = if softmax == Softmax::Logarithm { exact.abs().max(1.0) } else { 1.0 };
                let beyond = exact.abs() > 3.4e38;
                assert!(
                    beyond || (got - exact).abs() <= 1e-5 * scale,
                    "{softmax:?} {at}: {got:e}, exactly {exact:e}, {device:?}"
                );
            }
        }
        let got = evaluate(SwiGlu::Separate, &[&all, &shuffled], &[count], &device, DType::F32).unwrap();
        let exact = evaluate(SwiGlu::Separate, &[&all, &shuffled], &[count], &Device::cpu(), DType::F64).unwrap();
        for (place, (got, exact)) in got.iter().zip(&exact).enumerate() {
            for ((&got, &exact), (&gate, &up)) in got.iter().zip(exact).zip(all.iter().zip(&shuffled)) {
                // SiLU's derivative crosses 0 at -1.28, where its terms cancel; far below 0 it is denormal, with few digits.
                let (gate, up) = (f64::from(gate).abs(), f64::from(up).abs());
                let lost = 1e-36 * gate.max(1.0) * up.max(1.0) + if place == 1 { 1e-6 * up } else { 0.0 };
                let message = format!("swiglu {place}: {got:e}, exactly {exact:e}, on {device:?}");
                assert!((got - exact).abs() <= lost || is_right(got, exact), "{message}");
            }
        }
    }
}
