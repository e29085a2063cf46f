//! The trial of the kernels on matrix units, before they are trusted: small work whose results are compared with the CPU's.
//!
//! Each family of kernels runs forward and backward, a product in all four orientations, on numbers that f16 holds exactly.
//! A wrong kernel, or a driver that compiles a right one wrongly, does not err in the last bits: what it gives is elsewhere
//! altogether, or not a number. So the comparison allows for the rounding of operands, and for no more. A trial costs some
//! milliseconds besides compiling kernels, most of which the caller is about to use.

use half::f16;

use crate::device::gpu::Units;
use crate::device::{Device, Gpu};
use crate::error::{Error, Result};
use crate::operation::run as apply;
use crate::ops::attention::attention;
use crate::ops::matmul::MatMul;
use crate::ops::mlstm::{Options, mlstm};
use crate::{Precision, Tape, Tensor, Var};

/// The largest error of attention and mLSTM, of the largest number of the same tensor: ten times what they are seen to have.
const MOST_ERROR: f64 = 3e-2;
/// The largest relative error of a number that was rounded to f16 once, which may be either way.
const ROUNDING: f64 = 1.0 / 1024.0;

/// Tries a family of kernels on a GPU.
///
/// # Errors
/// [`Error::Check`] that says which result differs, by how much and from what; whatever the kernels meet.
pub(crate) fn run(gpu: &Gpu, units: Units) -> Result<()> {
    let device = Device::Gpu(gpu.clone());
    match units {
        Units::Product => products(&device),
        Units::Attention { head_dim } => attention_trial(&device, head_dim),
        Units::Mlstm { qk_dim, v_dim, chunk_size } => mlstm_trial(&device, [qk_dim, v_dim, chunk_size]),
    }
}

/// The first number of `found` that is further from `expected` than `allowed` of it; NaN is further than anything.
fn expect(
    operation: &'static str,
    what: &str,
    found: &[f64],
    expected: &[f64],
    allowed: impl Fn(f64) -> f64,
) -> Result<()> {
    let same = |(&found, &expected): (&f64, &f64)| (found - expected).abs() <= allowed(expected);
    let wrong = |message: String| Err(Error::Check { operation, message });
    if found.len() != expected.len() {
        return wrong(format!("{what} has {} numbers instead of {}", found.len(), expected.len()));
    }
    match found.iter().zip(expected).position(|pair| !same(pair)) {
        None => Ok(()),
        Some(at) => {
            let count = found.iter().zip(expected).filter(|pair| !same(*pair)).count();
            let message = format!(
                "{what} differs in {count} of {} numbers, first at {at}: {} instead of {}",
                found.len(),
                found[at],
                expected[at]
            );
            wrong(message)
        }
    }
}

/// Eighths from -1 to 1 in an order without a pattern that a wrong place would keep.
fn eighths(count: usize, seed: usize) -> Vec<f16> {
    (0..count).map(|at| f16::from_f64((((at * 37 + at / 17 * 5 + seed * 11) % 17) as f64 - 8.0) / 8.0)).collect()
}

const ROWS: usize = 80;
const COLUMNS: usize = 112;
const DEPTH: usize = 96;

/// op(A) · op(B) in each orientation, in the types that training uses. Products of eighths are sums of 64ths below 2^24 of
/// them: the sums are exact in f32 in any order, and of their f16 results only the last rounding is not.
fn products(device: &Device) -> Result<()> {
    for (transpose_left, transpose_right, output) in [
        (false, true, Precision::Half),
        (false, false, Precision::Half),
        (true, false, Precision::Full),
        (true, true, Precision::Full),
    ] {
        let (a, b) = (eighths(ROWS * DEPTH, 1), eighths(DEPTH * COLUMNS, 2));
        let sizes = |transposed: bool, rows: usize, columns: usize| {
            if transposed { [columns, rows] } else { [rows, columns] }
        };
        let left = Tensor::new(device, &sizes(transpose_left, ROWS, DEPTH), &a)?;
        let right = Tensor::new(device, &sizes(transpose_right, DEPTH, COLUMNS), &b)?;
        let operation = MatMul { transpose_left, transpose_right, output };
        let found = apply(&operation, &[&left, &right])?.first().map(Tensor::to_f64).transpose()?.unwrap_or_default();
        let what = format!("a product with {transpose_left} and {transpose_right} for transposed operands");
        expect_product(&what, [&a, &b], [transpose_left, transpose_right], &found, output)?;
    }
    Ok(())
}

fn expect_product(
    what: &str,
    [a, b]: [&[f16]; 2],
    [transpose_left, transpose_right]: [bool; 2],
    found: &[f64],
    output: Precision,
) -> Result<()> {
    let a_at = |row: usize, k: usize| a[if transpose_left { k * ROWS + row } else { row * DEPTH + k }].to_f64();
    let b_at =
        |k: usize, column: usize| b[if transpose_right { column * DEPTH + k } else { k * COLUMNS + column }].to_f64();
    let places = (0..ROWS).flat_map(|row| (0..COLUMNS).map(move |column| (row, column)));
    let expected: Vec<f64> =
        places.map(|(row, column)| (0..DEPTH).map(|k| a_at(row, k) * b_at(k, column)).sum()).collect();
    let rounding = if output == Precision::Half { ROUNDING } else { 0.0 };
    expect("matmul", what, found, &expected, |expected| rounding * expected.abs())
}

/// Numbers of f16 with about this size, like those that networks have.
fn numbers(count: usize, seed: usize, size: f64, mean: f64) -> Vec<f64> {
    let number = |at: usize| ((at * 7919 + at / 29 * 13 + seed * 104_729) % 1009) as f64 / 504.0 - 1.0;
    (0..count).map(|at| f16::from_f64(mean + size * number(at)).to_f64()).collect()
}

/// A tensor for a trial: its sizes, its numbers, and whether it is f16 on the GPU.
type Input = (Vec<usize>, Vec<f64>, bool);

/// The output and the gradients of all inputs, on a device, for the last of `inputs` as the output's gradient.
fn forward_and_backward(
    device: &Device,
    inputs: &[Input],
    operation: &dyn Fn(&[Var]) -> Result<Var>,
) -> Result<Vec<Vec<f64>>> {
    let tensors: Vec<Tensor> = inputs
        .iter()
        .map(|(sizes, data, half)| match *half && device.is_gpu() {
            true => Tensor::new(device, sizes, &data.iter().map(|&x| f16::from_f64(x)).collect::<Vec<_>>()),
            false => Tensor::new(device, sizes, &data.iter().map(|&x| x as f32).collect::<Vec<_>>()),
        })
        .collect::<Result<_>>()?;
    let (d_output, tensors) = tensors.split_last().ok_or_else(|| Error::shape("trial", "there are no inputs"))?;
    let tape = Tape::new();
    let leaves: Vec<Var> = tensors.iter().map(|tensor| tape.leaf(tensor.clone())).collect();
    let output = operation(&leaves)?;
    let mut results = vec![output.tensor().to_f64()?];
    let mut gradients = tape.backward_from(vec![(output, d_output.clone())])?;
    for leaf in &leaves {
        results.push(gradients.take(leaf).map(|gradient| gradient.to_f64()).transpose()?.unwrap_or_default());
    }
    Ok(results)
}

fn compare(
    operation: &'static str,
    device: &Device,
    inputs: &[Input],
    names: &[&str],
    function: &dyn Fn(&[Var]) -> Result<Var>,
) -> Result<()> {
    let found = forward_and_backward(device, inputs, function)?;
    let expected = forward_and_backward(&Device::cpu(), inputs, function)?;
    agree(operation, names, &found, &expected)
}

fn agree(operation: &'static str, names: &[&str], found: &[Vec<f64>], expected: &[Vec<f64>]) -> Result<()> {
    for ((name, found), expected) in names.iter().zip(found).zip(expected) {
        let largest = expected.iter().fold(0.0, |most: f64, x| most.max(x.abs()));
        expect(operation, name, found, expected, |_| MOST_ERROR * largest)?;
    }
    Ok(())
}

/// More queries than one tile has, and not a multiple of it.
const POSITIONS: usize = 144;

fn attention_trial(device: &Device, head_dim: usize) -> Result<()> {
    let sizes = |heads: usize| vec![1, POSITIONS, heads, head_dim];
    let input = |heads: usize, seed: usize| (sizes(heads), numbers(POSITIONS * heads * head_dim, seed, 1.0, 0.0), true);
    // Two query heads that share a key head.
    let inputs = [input(2, 1), input(1, 2), input(1, 3), input(2, 4)];
    let names = ["the output", "d_query", "d_key", "d_value"];
    compare("attention", device, &inputs, &names, &|i| attention(&i[0], &i[1], &i[2]))
}

fn mlstm_trial(device: &Device, [qk_dim, v_dim, chunk_size]: [usize; 3]) -> Result<()> {
    // Three chunks, the last one short.
    let positions = 2 * chunk_size + 16;
    let vectors =
        |width: usize, seed: usize| (vec![1, positions, 1, width], numbers(positions * width, seed, 1.0, 0.0), true);
    let gate = |seed: usize, mean: f64| (vec![1, positions, 1], numbers(positions, seed, 1.0, mean), false);
    let (d_h_sizes, d_h, _) = vectors(v_dim, 6);
    let inputs = [
        vectors(qk_dim, 1),
        vectors(qk_dim, 2),
        vectors(v_dim, 3),
        gate(4, -1.0),
        gate(5, 3.0),
        (d_h_sizes, d_h, false),
    ];
    let names = ["h", "d_query", "d_key", "d_value", "d_input_gate", "d_forget_gate"];
    let options = Options { chunk_size, ..Options::default() };
    compare("mlstm", device, &inputs, &names, &|i| mlstm(&i[0], &i[1], &i[2], &i[3], &i[4], options))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::{half_missing, test_device};

    const ALL: [Units; 4] = [
        Units::Product,
        Units::Attention { head_dim: 32 },
        Units::Attention { head_dim: 128 },
        Units::Mlstm { qk_dim: 16, v_dim: 32, chunk_size: 64 },
    ];

    /// Where there are no matrix units the plain kernels for f16 stand trial: what is right passes.
    #[test]
    fn right_kernels_pass() {
        let Some(device) = test_device::gpu().filter(|gpu| half_missing(gpu).is_none()) else { return };
        let Device::Gpu(gpu) = &device else { return };
        for units in ALL {
            run(gpu, units).unwrap_or_else(|error| panic!("{units:?}: {error}"));
        }
    }

    /// A product by the formula, with a mistake.
    fn product(mistake: impl Fn(usize, usize, usize) -> f64) -> Result<()> {
        let (a, b) = (eighths(ROWS * DEPTH, 1), eighths(DEPTH * COLUMNS, 2));
        let places = (0..ROWS).flat_map(|row| (0..COLUMNS).map(move |column| (row, column)));
        let sum = |(row, column): (usize, usize)| {
            let term = |k: usize| a[row * DEPTH + k].to_f64() * b[k * COLUMNS + column].to_f64();
            (0..DEPTH).map(|k| term(k) * mistake(row, column, k)).sum()
        };
        let found: Vec<f64> = places.map(sum).collect();
        expect_product("a product", [&a, &b], [false; 2], &found, Precision::Full)
    }

    #[test]
    fn wrong_products_are_found() {
        product(|_, _, _| 1.0).unwrap();
        let wrong = [
            product(|_, _, k| f64::from(k < DEPTH - 16)),
            product(|row, column, _| if row == 79 && column == 111 { 0.0 } else { 1.0 }),
            product(|_, _, _| 1.01),
            product(|row, _, _| if row == 3 { f64::NAN } else { 1.0 }),
            product(|_, column, _| if column >= 64 { -1.0 } else { 1.0 }),
        ];
        for (place, found) in wrong.into_iter().enumerate() {
            let error = found.expect_err(&format!("mistake {place} was not found"));
            assert!(matches!(error, Error::Check { operation: "matmul", .. }), "{error}");
        }
        let error = product(|row, column, _| if (row, column) == (2, 5) { 0.0 } else { 1.0 }).unwrap_err().to_string();
        assert!(
            error.contains(&format!("1 of {} numbers, first at {}: 0", ROWS * COLUMNS, 2 * COLUMNS + 5)),
            "{error}"
        );
        // Operands that are read transposed when they should not be.
        let (a, b) = (eighths(ROWS * DEPTH, 1), eighths(DEPTH * COLUMNS, 2));
        let place = |row: usize, k: usize| a[(k * ROWS + row) % a.len()].to_f64();
        let found: Vec<f64> = (0..ROWS * COLUMNS)
            .map(|at| (0..DEPTH).map(|k| place(at / COLUMNS, k) * b[k * COLUMNS + at % COLUMNS].to_f64()).sum())
            .collect();
        expect_product("a product", [&a, &b], [false; 2], &found, Precision::Full).unwrap_err();
        // Rounding to f16 is allowed where the result is f16, and nowhere else.
        let exact = [3.0, -2.5];
        let rounded = [3.0 * (1.0 + ROUNDING), -2.5];
        let of = |precision: f64| expect("matmul", "x", &rounded, &exact, |x| precision * x.abs());
        of(1.001 * ROUNDING).unwrap();
        of(0.0).unwrap_err();
    }

    #[test]
    fn wrong_results_of_attention_and_mlstm_are_found() {
        let expected = vec![numbers(600, 1, 1.0, 0.0), numbers(300, 2, 1e-3, 0.0)];
        let names = ["the output", "d_key"];
        let with = |change: &dyn Fn(&mut Vec<Vec<f64>>)| {
            let mut found = expected.clone();
            change(&mut found);
            agree("attention", &names, &found, &expected)
        };
        with(&|_| ()).unwrap();
        with(&|found| found.iter_mut().flatten().for_each(|x| *x *= 1.01)).unwrap();
        type Change<'a> = &'a dyn Fn(&mut Vec<Vec<f64>>);
        let wrong: [Change; 5] = [
            &|found| found[1][299] = f64::NAN,
            &|found| found[1].iter_mut().for_each(|x| *x *= 1.2),
            &|found| found[0].swap(0, 1),
            &|found| found[1].truncate(200),
            &|found| found[0][64..].fill(0.0),
        ];
        for (place, change) in wrong.iter().enumerate() {
            let error = with(change).expect_err(&format!("mistake {place} was not found")).to_string();
            assert!(error.contains("attention") && names.iter().any(|name| error.contains(name)), "{error}");
        }
    }
}
