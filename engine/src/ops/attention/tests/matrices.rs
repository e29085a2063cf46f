//! The kernels on matrix units where there are none: their own text with matrices by plain code (`matrices.wgsl`), so that
//! what surrounds the products is checked on every GPU.

use std::cell::Cell;
use std::collections::HashMap;
use std::sync::{Mutex, OnceLock};

use gradus_shaders::{COOPERATIVE, File, Kernel};

use super::*;

thread_local! {
    /// The rows that a subgroup keeps, while this thread has the matrix units emulated.
    static EACH: Cell<Option<usize>> = const { Cell::new(None) };
}

/// What `Sizes::units` is to give on this thread instead of what the adapter has.
pub(crate) fn emulated_units() -> Option<usize> {
    EACH.get()
}

/// The kernel that runs instead of this one.
pub(crate) fn emulated(kernel: &'static Kernel) -> &'static Kernel {
    static KERNELS: OnceLock<Mutex<HashMap<&'static str, &'static Kernel>>> = OnceLock::new();
    if emulated_units().is_none() || !kernel.cooperative() {
        return kernel;
    }
    let mut kernels = KERNELS.get_or_init(Mutex::default).lock().unwrap();
    kernels.entry(kernel.name).or_insert_with(|| {
        let file = |file: &File| match file.path == COOPERATIVE.path {
            true => File { path: "matrices.wgsl", text: include_str!("matrices.wgsl") },
            false => File { path: file.path, text: without_matrices(file.text).leak() },
        };
        let files: Vec<File> = kernel.files.iter().map(file).collect();
        Box::leak(Box::new(Kernel { files: files.leak(), ..*kernel }))
    })
}

/// The text with calls of the functions of `matrices.wgsl`, with loops that stay loops, and without padding: workgroup
/// memory is small here.
fn without_matrices(text: &str) -> String {
    let mut text = text.to_owned();
    for (before, after) in [
        ("coopLoadT<Left>(&halves[", "load_left(("),
        ("coopLoadT<Right>(&halves[", "load_right(("),
        ("coopLoad<Right>(&halves[", "load_right_transposed(("),
        ("coopLoadT<Sum>(&scores[", "load_sum(("),
        ("coopStoreT(matrix, &scores[", "store_sum(matrix, ("),
    ] {
        while let Some(start) = text.find(before) {
            let end = start + text[start..].find(']').unwrap();
            text.replace_range(end..=end, ")");
            text.replace_range(start..start + before.len(), after);
        }
    }
    text = text.replace("coopMultiplyAdd(", "multiply(");
    text =
        text.replace("    let index = part_of_dispatch", "    own_row = lane % 16u;\n    let index = part_of_dispatch");
    for (before, after) in [
        ("PACKS + 2u", "PACKS"),
        ("COLUMNS / 4u + 2u", "COLUMNS / 4u"),
        ("COLUMNS / 4u + 1u", "COLUMNS / 4u"),
        ("  // unrolled", ""),
        ("h < HIGH", "h < HIGH * one()"),
        ("w < WIDE", "w < WIDE * one()"),
        ("d < DEPTH;", "d < DEPTH * one();"),
    ] {
        text = text.replace(before, after);
    }
    text
}

/// The worst share of the bounds with these rows a subgroup, over cases of this head_dim.
fn worst(head_dim: usize, each: usize, gpu: &Device) -> f64 {
    let mut worst = 0f64;
    for (seed, queries, earlier, kv_heads, deviation, documents) in
        [(1, 64, 0, 1, 0.5, false), (2, 131, 7, 2, 1.0, false), (3, 70, 33, 1, 2.0, true), (4, 97, 0, 1, 3.0, true)]
    {
        let [query, key, value] =
            inputs(seed, [1, queries, 2, head_dim], queries + earlier + 3, kv_heads, deviation).try_into().unwrap();
        let mut inputs = vec![query.half(), key.half(), value.half()];
        let options = AttentionOptions { key_length: Some(queries + earlier) };
        if documents {
            inputs.push(cases::first_key(&mut Draw::new(seed, 0), [1, queries], earlier));
        }
        let case = Case::new(Attention { options, documents }, inputs).with_half_rounding(cases::HALF_ROUNDING);
        EACH.set(Some(each));
        let measured = check_case(&case, gpu, DType::F16, 4 * seed + 1);
        EACH.set(None);
        let measured = measured.unwrap();
        if let Device::Gpu(gpu) = gpu {
            gpu.verify_guards().unwrap();
        }
        println!(
            "{each} rows, forward {:.3}, backward {:.3}: {}",
            measured.forward.share,
            measured.backward.share,
            case.describe()
        );
        worst = worst.max(measured.worst());
    }
    worst
}

#[test]
fn what_surrounds_the_matrix_units_is_right_without_them() {
    let Some(gpu) = test_device::gpu() else { return };
    if let Some(reason) = crate::check::half_missing(&gpu) {
        println!("skipped: {reason}");
        return;
    }
    for (head_dim, each) in [(32, 32), (48, 16)] {
        let worst = worst(head_dim, each, &gpu);
        assert!(worst <= 1.0, "head_dim {head_dim}, {each} rows a subgroup: {worst}");
    }
}
