//! Times matrix products on a GPU: `cargo run --release -p gradus-engine --example matmul_speed [adapter]`.
//!
//! In f32, and in f16 with sums in f32: of two f16 matrices with a result in f32, and, as mixed precision trains, of an f16 one
//! and f32 weights with a result in f16.
//!
//! The card is warmed first; each figure is the best of several batches of products, recorded together and waited for once.
//! On a software adapter every size is a sixteenth: it shows that the program runs, and says nothing of a GPU.

use std::time::Instant;

use gradus_engine::ops::cast::cast;
use gradus_engine::ops::matmul::MatMul;
use gradus_engine::tape::apply_one;
use gradus_engine::{DType, Device, Precision, Result, Tensor, Var};

fn main() -> Result<()> {
    let index = std::env::args().nth(1).and_then(|text| text.parse().ok()).unwrap_or(0);
    let device = Device::gpu(index)?;
    println!("{}", device.name());
    let software = matches!(&device, Device::Gpu(gpu) if gpu.report().software);
    let (part, work) = if software { (16, 1e9) } else { (1, 2e12) };
    let sizes = [
        (1024, 1024, 1024, false, false),
        (2048, 2048, 2048, false, false),
        (4096, 4096, 4096, false, false),
        (4096, 4096, 4096, false, true),
        (4096, 4096, 4096, true, false),
        (8192, 2048, 512, false, true),
        (8192, 512, 2048, false, false),
        (512, 2048, 8192, true, false),
        (512, 512, 8192, true, false),
        (8192, 512, 512, false, true),
    ];
    let types = [
        ("f32", DType::F32, DType::F32, Precision::Full),
        ("f16 · f16 -> f32", DType::F16, DType::F16, Precision::Full),
        ("f16 · f32 -> f16", DType::F16, DType::F32, Precision::Half),
    ];
    let half = matches!(&device, Device::Gpu(gpu) if gpu.report().shader_f16);
    let cases = types.iter().flat_map(|types| sizes.iter().map(move |sizes| (types, sizes)));
    for (&(name, left_type, right_type, output), &(rows, columns, depth, left, right)) in cases {
        if left_type == DType::F16 && !half {
            continue;
        }
        let (rows, columns, depth) = (rows / part, columns / part, depth / part);
        let filled = |rows: usize, columns: usize, transposed: bool, dtype: DType| -> Result<Var> {
            let values: Vec<f32> = (0..rows * columns).map(|at| ((at * 7919) % 1021) as f32 / 1021.0 - 0.5).collect();
            let sizes = if transposed { [columns, rows] } else { [rows, columns] };
            let tensor = Var::constant(Tensor::new(&device, &sizes, &values)?);
            if dtype == DType::F16 { cast(&tensor, DType::F16) } else { Ok(tensor) }
        };
        let (a, b) = (filled(rows, depth, left, left_type)?, filled(depth, columns, right, right_type)?);
        let operation = MatMul { transpose_left: left, transpose_right: right, output };
        let flops = 2.0 * (rows * columns * depth) as f64;
        let products = ((work / flops) as usize).clamp(2, 400);
        let batch = || -> Result<f64> {
            let start = Instant::now();
            for _ in 0..products {
                apply_one(operation, &[&a, &b])?;
            }
            device.synchronize()?;
            Ok(start.elapsed().as_secs_f64() / products as f64)
        };
        let warm = Instant::now();
        while warm.elapsed().as_secs_f64() < 0.5 {
            batch()?;
        }
        let mut seconds: Vec<f64> = (0..7).map(|_| batch()).collect::<Result<_>>()?;
        seconds.sort_by(f64::total_cmp);
        let (best, median) = (seconds[0], seconds[3]);
        println!(
            "{name:16} {rows} x {columns} x {depth} A{} B{}: median {:.1} us, {:.2} TFLOP/s; best {:.2}",
            if left { "t" } else { " " },
            if right { "t" } else { " " },
            median * 1e6,
            flops / median / 1e12,
            flops / best / 1e12
        );
    }
    Ok(())
}
