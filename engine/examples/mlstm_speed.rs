//! Times the mLSTM: `cargo run --release -p gradus-engine --example mlstm_speed [cpu|GPU number] [tiny|small|large|long]`.
//!
//! Forward alone, forward and backward, and the single step; each figure is the median of several runs after a warm-up. On a
//! GPU that has f16, also with query, key and value in f16.

use std::time::Instant;

use gradus_engine::ops::cast::cast;
use gradus_engine::ops::mlstm::{Options, State, mlstm, mlstm_step};
use gradus_engine::{DType, Device, Result, Tape, Tensor, Var};

/// A name, then batch, sequence, heads, qk_dim, v_dim, then chunk sizes.
type Size = (&'static str, [usize; 5], &'static [usize]);

const SIZES: [Size; 4] = [
    ("tiny", [8, 256, 4, 16, 32], &[32, 64, 128, 256]),
    ("small", [8, 1024, 4, 64, 128], &[32, 64, 128, 256]),
    ("large", [1, 2048, 8, 256, 512], &[32, 64, 128, 256]),
    ("long", [8, 8192, 4, 128, 256], &[64, 128, 256]),
];

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let device = match arguments.first().map(String::as_str) {
        None | Some("cpu") => Device::cpu(),
        Some(index) => Device::gpu(index.parse().unwrap_or(0))?,
    };
    let mut types = vec![DType::F32];
    if let Device::Gpu(gpu) = &device
        && gpu.report().shader_f16
    {
        types.push(DType::F16);
        println!("{}, matrix units: {}", device.name(), gpu.uses_matrix_units());
    } else {
        println!("{}", device.name());
    }
    for size in SIZES {
        // The long one is for GPUs: it takes minutes on a CPU unless asked for.
        let wanted = arguments.get(1).map_or(size.0 != "long" || device.is_gpu(), |only| only == size.0);
        for &dtype in types.iter().filter(|_| wanted) {
            time(&device, dtype, size)?;
        }
    }
    Ok(())
}

fn time(device: &Device, dtype: DType, (name, sizes, chunk_sizes): Size) -> Result<()> {
    let [batch, sequence, heads, qk_dim, v_dim] = sizes;
    let mut seed = 1u32;
    let mut tensor = |sizes: &[usize], mean: f32, dtype: DType| -> Result<Tensor> {
        let mut number = || {
            seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            mean + (seed >> 8) as f32 / (1 << 23) as f32 - 1.0
        };
        let data: Vec<f32> = (0..sizes.iter().product()).map(|_| number()).collect();
        let tensor = Tensor::new(device, sizes, &data)?;
        if dtype == DType::F32 { Ok(tensor) } else { Ok(cast(&Var::constant(tensor), dtype)?.into_tensor()) }
    };
    let mut inputs = |sequence: usize| -> Result<Vec<Tensor>> {
        Ok(vec![
            tensor(&[batch, sequence, heads, qk_dim], 0.3, dtype)?,
            tensor(&[batch, sequence, heads, qk_dim], 0.3, dtype)?,
            tensor(&[batch, sequence, heads, v_dim], 0.0, dtype)?,
            tensor(&[batch, sequence, heads], 0.0, DType::F32)?,
            tensor(&[batch, sequence, heads], 3.0, DType::F32)?,
        ])
    };
    let (whole, one) = (inputs(sequence)?, inputs(1)?);
    let d_h = tensor(&[batch, sequence, heads, v_dim], 0.0, DType::F32)?;
    for &chunk_size in chunk_sizes {
        let options = Options { chunk_size, ..Default::default() };
        let run = |backward: bool| -> Result<()> {
            let tape = Tape::new();
            let leaves: Vec<Var> = whole.iter().map(|input| tape.leaf(input.clone())).collect();
            let h = mlstm(&leaves[0], &leaves[1], &leaves[2], &leaves[3], &leaves[4], options)?;
            if backward {
                tape.backward_from(vec![(h, d_h.clone())])?;
            }
            Ok(())
        };
        let forward = median(device, || run(false))?;
        let both = median(device, || run(true))?;
        println!("{name:6} {dtype} chunk {chunk_size:3}: forward {forward:8.3} ms, with backward {both:8.3} ms");
    }
    let inputs: Vec<Var> = one.into_iter().map(Var::constant).collect();
    let mut state = State::empty(device, batch, heads, qk_dim, v_dim)?;
    let step = median(device, || {
        let next = mlstm_step(&inputs[0], &inputs[1], &inputs[2], &inputs[3], &inputs[4], &state, Options::default())?;
        state = next.1;
        Ok(())
    })?;
    println!("{name:6} {dtype} step: {step:.4} ms");
    Ok(())
}

/// Milliseconds a run, the median of nine batches of runs.
fn median(device: &Device, mut run: impl FnMut() -> Result<()>) -> Result<f64> {
    let start = Instant::now();
    let mut runs = 0usize;
    while runs < 2 || start.elapsed().as_secs_f64() < 0.4 {
        run()?;
        device.synchronize()?;
        runs += 1;
    }
    let batch = runs.div_ceil(4).min(50);
    let mut times = Vec::new();
    for _ in 0..9 {
        let start = Instant::now();
        for _ in 0..batch {
            run()?;
        }
        device.synchronize()?;
        times.push(start.elapsed().as_secs_f64() * 1e3 / batch as f64);
    }
    times.sort_by(f64::total_cmp);
    Ok(times[times.len() / 2])
}
