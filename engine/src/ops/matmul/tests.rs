//! What the table of checks does not show: operands inside larger tensors, sums of no terms, more workgroups than a dimension
//! allows, shapes that are refused.

use super::*;
use crate::Tape;
use crate::check::test_device;

fn devices() -> impl Iterator<Item = Device> {
    std::iter::once(Device::cpu()).chain(test_device::gpu())
}

/// Small integers, so that sums are exact in any order.
fn integers(count: usize, salt: usize) -> Vec<f32> {
    (0..count).map(|at| ((at * 31 + salt * 7) % 13) as f32 - 6.0).collect()
}

fn var(device: &Device, sizes: &[usize], salt: usize) -> Var {
    Tensor::new(device, sizes, &integers(sizes.iter().product(), salt)).unwrap().into()
}

/// The product of matrices stored by rows or, if told, transposed.
fn multiplied(a: &[f32], b: &[f32], [rows, columns, depth]: [usize; 3], transposed: [bool; 2]) -> Vec<f32> {
    let left = |i: usize, k: usize| if transposed[0] { a[k * rows + i] } else { a[i * depth + k] };
    let right = |k: usize, j: usize| if transposed[1] { b[j * depth + k] } else { b[k * columns + j] };
    let element = |at: usize| (0..depth).map(|k| left(at / columns, k) * right(k, at % columns)).sum();
    (0..rows * columns).map(element).collect()
}

#[test]
fn rows_of_a_weight_are_multiplied_alone() {
    for device in devices() {
        let (x, weight) = (var(&device, &[2, 3, 20], 1), var(&device, &[9, 20], 2));
        let bias = var(&device, &[4], 3);
        let run = |rows, bias: Option<&Tensor>| linear_rows(x.tensor(), weight.tensor(), rows, bias, Precision::Full);
        if !device.is_gpu() {
            assert!(run(0..4, None).unwrap_err().to_string().contains("on the CPU use `linear`"));
            continue;
        }
        let all = linear(&x, &weight).unwrap().tensor().to_vec::<f32>().unwrap();
        for (rows, bias) in [(0..9, None), (3..7, None), (5..9, Some(bias.tensor()))] {
            let added = bias.map_or_else(|| vec![0.0; 9], |bias| bias.to_vec::<f32>().unwrap());
            let part = |row: &[f32]| row[rows.clone()].iter().zip(&added).map(|(x, bias)| x + bias).collect::<Vec<_>>();
            let expected: Vec<f32> = all.chunks(9).flat_map(part).collect();
            let got = run(rows.clone(), bias).unwrap();
            assert_eq!(got.sizes(), [2, 3, rows.len()]);
            assert_eq!(got.to_vec::<f32>().unwrap(), expected, "{rows:?}");
        }
        assert!(run(6..10, None).is_err() && run(0..5, Some(bias.tensor())).is_err());
    }
}

#[test]
fn matrices_inside_larger_tensors_are_read_and_written_alone() {
    let Some(device) = test_device::gpu() else { return };
    let Device::Gpu(gpu) = &device else { return };
    const MARK: f32 = 7.5;
    let behind = 70;
    // Offsets and rows that vectors of four suit, and such that they do not; depths that are cut into parts.
    for ([rows, columns, depth], firsts) in [
        ([33, 36, 20], [64, 128, 32]),
        ([31, 5, 17], [37, 41, 43]),
        ([4, 64, 8], [4, 6, 1]),
        ([1, 3, 1], [1, 2, 3]),
        ([5, 12, 4116], [4, 8, 16]),
        ([5, 3, 2051], [1, 2, 3]),
    ] {
        for (at, transposed) in [[false, false], [false, true], [true, false], [true, true]].into_iter().enumerate() {
            let (a, b) = (integers(rows * depth, at), integers(depth * columns, at + 1));
            let within = |first: usize, data: &[f32], around: f32| {
                let all = [vec![around; first], data.to_vec(), vec![around; behind]].concat();
                Tensor::new(&device, &[all.len()], &all).unwrap()
            };
            let (left, right) = (within(firsts[0], &a, f32::NAN), within(firsts[1], &b, f32::NAN));
            let output = within(firsts[2], &vec![f32::NAN; rows * columns], MARK);
            let mut expected = multiplied(&a, &b, [rows, columns, depth], transposed);
            for accumulate in [false, true] {
                let left = Operand { tensor: &left, first: firsts[0], transposed: transposed[0] };
                let right = Operand { tensor: &right, first: firsts[1], transposed: transposed[1] };
                let output = Output { tensor: &output, first: firsts[2] };
                product(gpu, "test", left, right, output, [rows, columns, depth], accumulate).unwrap();
                let got = output.tensor.to_vec::<f32>().unwrap();
                let (before, rest) = got.split_at(firsts[2]);
                let (inside, after) = rest.split_at(rows * columns);
                assert_eq!(inside, expected, "{rows} {columns} {depth} {transposed:?} {accumulate}");
                assert!(before.iter().chain(after).all(|&x| x == MARK), "{rows} {columns} {depth} {transposed:?}");
                expected.iter_mut().for_each(|x| *x *= 2.0);
            }
        }
    }
}

#[test]
fn a_product_that_reaches_beyond_its_tensors_is_refused() {
    let Some(device) = test_device::gpu() else { return };
    let Device::Gpu(gpu) = &device else { return };
    let tensor = Tensor::new(&device, &[2, 2], &[0f32; 4]).unwrap();
    let at = |first: usize| Operand { tensor: &tensor, first, transposed: false };
    let output = Tensor::new(&device, &[2, 2], &[0f32; 4]).unwrap();
    for (a, b, c) in [(1, 0, 0), (0, 1, 0), (0, 0, 1), (usize::MAX, 0, 0)] {
        let output = Output { tensor: &output, first: c };
        let error = product(gpu, "test", at(a), at(b), output, [2, 2, 2], false).unwrap_err().to_string();
        assert!(error.starts_with("test: a product of") && error.contains("reaches beyond"), "{error}");
    }
}

/// The product, and the gradients for small integers as upstream gradient.
fn evaluate(operation: MatMul, inputs: &[Var]) -> Result<(Tensor, Vec<Vec<f32>>)> {
    let tape = Tape::new();
    let leaves: Vec<Var> = inputs.iter().map(|input| tape.leaf(input.tensor().clone())).collect();
    let y = apply_one(operation, &leaves.iter().collect::<Vec<_>>())?;
    let output = y.tensor().clone();
    let seed = var(&output.device(), output.sizes(), 3).into_tensor();
    let mut found = tape.backward_from(vec![(y, seed)])?;
    let gradients = leaves.iter().map(|leaf| found.take(leaf).unwrap().to_vec().unwrap()).collect();
    Ok((output, gradients))
}

#[test]
fn sums_of_no_terms_are_zero() {
    for device in devices() {
        // A depth of 0: the product is 0, or the bias.
        for transpose in [false, true] {
            let operation = MatMul { transpose_left: transpose, transpose_right: transpose, ..Default::default() };
            let (left, right) = if transpose { ([0, 2], [3, 0]) } else { ([2, 0], [0, 3]) };
            let inputs = [var(&device, &left, 0), var(&device, &right, 1), var(&device, &[3], 2)];
            let (y, _) = evaluate(operation, &inputs[..2]).unwrap();
            assert_eq!((y.sizes(), y.to_vec::<f32>().unwrap()), (&[2, 3][..], vec![0.0; 6]), "{device:?}");
            let (y, gradients) = evaluate(operation, &inputs).unwrap();
            assert_eq!(y.to_vec::<f32>().unwrap(), [integers(3, 2), integers(3, 2)].concat(), "{device:?}");
            let up = integers(6, 3);
            assert_eq!(gradients[2], [up[0] + up[3], up[1] + up[4], up[2] + up[5]], "{device:?}");
        }
        // No matrices, no rows, no columns: what is repeated or shared has a gradient of 0.
        for (left, right, output) in [
            (&[0, 2, 4][..], &[4, 3][..], &[0, 2, 3][..]),
            (&[2, 4], &[0, 4, 3], &[0, 2, 3]),
            (&[1, 2, 4], &[0, 4, 3], &[0, 2, 3]),
            (&[0, 4], &[4, 3], &[0, 3]),
            (&[2, 4], &[4, 0], &[2, 0]),
        ] {
            let (y, gradients) = evaluate(MatMul::default(), &[var(&device, left, 0), var(&device, right, 1)]).unwrap();
            assert_eq!(y.sizes(), output);
            assert!(gradients.iter().flatten().all(|&x| x == 0.0), "{left:?} {right:?} on {device:?}: {gradients:?}");
        }
    }
}

#[test]
fn leading_dimensions_broadcast_as_elsewhere() {
    let shapes: [(&[usize], &[usize], &[usize]); 10] = [
        (&[5, 2, 4], &[4, 3], &[5, 2, 3]),
        (&[2, 4], &[5, 4, 3], &[5, 2, 3]),
        (&[2, 1, 3, 2, 4], &[3, 1, 4, 3], &[2, 3, 3, 2, 3]),
        (&[1, 6, 2, 4], &[2, 1, 4, 3], &[2, 6, 2, 3]),
        (&[2, 5, 1, 2, 4], &[2, 1, 3, 4, 3], &[2, 5, 3, 2, 3]),
        (&[4], &[5, 4, 3], &[5, 3]),
        (&[5, 2, 4], &[4], &[5, 2]),
        (&[4], &[4, 3], &[3]),
        (&[4], &[4], &[]),
        // Matrices whose depth is cut into parts on a GPU.
        (&[3, 2, 2100], &[3, 2100, 4], &[3, 2, 4]),
    ];
    for device in devices() {
        for (left, right, output) in shapes {
            let inputs = [var(&device, left, 0), var(&device, right, 1)];
            let (y, gradients) = evaluate(MatMul::default(), &inputs).unwrap();
            assert_eq!(y.sizes(), output, "{left:?} {right:?}");
            let arrays = inputs.map(|input| Array::new(input.sizes(), input.tensor().to_f64().unwrap()));
            let defined = MatMul::default().definition(&arrays).remove(0).value;
            assert_eq!((&defined.sizes[..], defined.data), (output, y.to_f64().unwrap()), "{left:?} {right:?}");
            // ⟨dA, A⟩ = ⟨dC, C⟩ = ⟨dB, B⟩, since the product is linear in each.
            let dot = |a: &[f32], b: &[f64]| a.iter().zip(b).map(|(a, b)| f64::from(*a) * b).sum::<f64>();
            let along = dot(&integers(y.elements(), 3), &y.to_f64().unwrap());
            for (gradient, input) in gradients.iter().zip(&arrays) {
                assert_eq!(dot(gradient, &input.data), along, "{left:?} {right:?} on {device:?}");
            }
        }
    }
}

/// Random cases are too small for the larger tiles, which are for outputs of many.
#[test]
fn every_tile_gives_what_the_cpu_gives() {
    let Some(device) = test_device::gpu() else { return };
    // The last three are filled by their tiles, whose kernels have nothing to check.
    for ([rows, columns], depth) in [([65, 33], 5), ([36, 40], 20), ([32, 32], 24), ([64, 64], 16), ([128, 64], 8)] {
        for [a, b] in [[false, false], [false, true], [true, false], [true, true]] {
            let operation = MatMul { transpose_left: a, transpose_right: b, ..Default::default() };
            let stored = |leading: [usize; 2], transposed: bool, rows: usize, columns: usize| {
                let matrix = if transposed { [columns, rows] } else { [rows, columns] };
                [leading, matrix].concat()
            };
            let (left, right) = (stored([256, 1], a, rows, depth), stored([256, 2], b, depth, columns));
            let on = |device: &Device| {
                let mut inputs = vec![var(device, &left, 0), var(device, &right, 1)];
                inputs.extend((depth == 5).then(|| var(device, &[columns], 2)));
                let (y, gradients) = evaluate(operation, &inputs).unwrap();
                (y.to_vec::<f32>().unwrap(), gradients)
            };
            assert!(on(&Device::cpu()) == on(&device), "{rows} {columns} {depth} {operation:?}");
        }
    }
}

#[test]
fn more_matrices_than_a_dimension_has_workgroups() {
    let Some(device) = test_device::gpu() else { return };
    let count = 65_536 + 321;
    let (a, b) = (integers(count, 1), integers(count, 2));
    let matrices = |data: &[f32]| Var::from(Tensor::new(&device, &[count, 1, 1], data).unwrap());
    let y = matmul(&matrices(&a), &matrices(&b)).unwrap();
    let expected: Vec<f32> = a.iter().zip(&b).map(|(a, b)| a * b).collect();
    assert_eq!(y.tensor().to_vec::<f32>().unwrap(), expected);
}

#[test]
fn shapes_that_do_not_fit_are_refused() {
    let device = Device::cpu();
    let refused = |operation: MatMul, shapes: &[&[usize]]| {
        let inputs: Vec<Var> = shapes.iter().map(|sizes| var(&device, sizes, 0)).collect();
        apply_one(operation, &inputs.iter().collect::<Vec<_>>()).unwrap_err().to_string()
    };
    let plain = MatMul::default();
    let transposed = MatMul { transpose_left: true, transpose_right: true, ..Default::default() };
    assert_eq!(refused(plain, &[&[2, 3], &[4, 5]]), "matmul: [2, 3] · [4, 5]: the inner sizes 3 and 4 differ");
    assert_eq!(
        refused(transposed, &[&[2, 3], &[4, 5]]),
        "matmul: [2, 3] transposed · [4, 5] transposed: the inner sizes 2 and 5 differ"
    );
    assert_eq!(
        refused(plain, &[&[2, 2, 3], &[3, 3, 4]]),
        "matmul: [2, 2, 3] · [3, 3, 4]: the leading dimensions do not broadcast"
    );
    assert!(refused(transposed, &[&[3], &[4, 3]]).contains("a vector has no transpose"));
    assert!(refused(plain, &[&[], &[4, 3]]).contains("a scalar has no product"));
    assert_eq!(
        refused(plain, &[&[2, 3], &[3, 4], &[3]]),
        "matmul: [2, 3] · [3, 4] is [2, 4], [3] cannot be added: it must be a bias [4] or a residual of the product's shape"
    );
    assert!(refused(plain, &[&[2, 3], &[3, 4], &[1, 4]]).contains("it must be a bias [4]"));
    let half = MatMul { output: Precision::Half, ..plain };
    assert!(refused(half, &[&[2, 3], &[3, 4], &[4]]).contains("a product with a bias or a residual is f32"));
    assert!(refused(plain, &[&[2, 3]]).contains("takes two inputs and perhaps a bias, got 1"));
    let wide = Var::from(Tensor::new(&device, &[3, 4], &[0f64; 12]).unwrap());
    let message = matmul(&var(&device, &[2, 3], 0), &wide).unwrap_err().to_string();
    assert_eq!(message, "matmul: takes f64 alone, or f32 and f16 with what is added in f32, got f32, f64");
}
