//! Times attention on a GPU: `cargo run --release -p gradus-engine --example attention_speed [adapter] [head_dim]`.
//!
//! Causal, in f32 and, where the adapter has it, in f16: forward alone, and forward and backward. FLOP are counted as 2 ·
//! batch · heads · sequence² · head_dim for the forward, half of what two full products are since half of all pairs are
//! seen, and 3.5 times that with the backward. The card is warmed first; each figure is the median of several batches of
//! runs, recorded together and waited for once. On a software adapter sequences are a sixteenth: it shows that the program
//! runs, and says nothing of a GPU. `GRADUS_PLAIN_KERNELS=1` leaves the matrix units alone.

use std::time::Instant;

use gradus_engine::ops::attention::attention;
use gradus_engine::{DType, Device, Result, Tape, Tensor, Var};

/// Batch, sequence, heads.
const SIZES: [[usize; 3]; 2] = [[8, 1024, 8], [8, 4096, 8]];

fn main() -> Result<()> {
    let argument = |place: usize| std::env::args().nth(place).and_then(|text| text.parse().ok());
    let device = Device::gpu(argument(1).unwrap_or(0))?;
    let head_dim = argument(2).unwrap_or(64);
    println!("{}", device.name());
    let Device::Gpu(gpu) = &device else { return Ok(()) };
    let units = if gpu.uses_matrix_units() { "on matrix units" } else { "by plain kernels" };
    let part = if gpu.report().software { 16 } else { 1 };
    for [batch, sequence, heads] in SIZES {
        let sizes = [batch / part.min(batch), sequence / part, heads, head_dim];
        time(&device, DType::F32, sizes, "")?;
        if gpu.report().shader_f16 {
            time(&device, DType::F16, sizes, units)?;
        }
    }
    Ok(())
}

/// Numbers of mean 0 and deviation 1.
fn numbers(device: &Device, dtype: DType, sizes: &[usize], seed: &mut u32) -> Result<Tensor> {
    let mut number = || {
        *seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        ((*seed >> 8) as f32 / (1 << 23) as f32 - 1.0) * 3f32.sqrt()
    };
    let data: Vec<f32> = (0..sizes.iter().product()).map(|_| number()).collect();
    match dtype {
        DType::F16 => {
            let halves: Vec<half::f16> = data.into_iter().map(half::f16::from_f32).collect();
            Tensor::new(device, sizes, &halves)
        }
        _ => Tensor::new(device, sizes, &data),
    }
}

fn time(device: &Device, dtype: DType, sizes: [usize; 4], how: &str) -> Result<()> {
    let mut seed = 1;
    let inputs: Vec<Tensor> = (0..3).map(|_| numbers(device, dtype, &sizes, &mut seed)).collect::<Result<_>>()?;
    let d_output = numbers(device, dtype, &sizes, &mut seed)?;
    let [batch, sequence, heads, head_dim] = sizes;
    let forward_flops = 2.0 * (batch * heads * sequence * sequence * head_dim) as f64;
    for (name, backward, flops) in
        [("forward", false, forward_flops), ("forward and backward", true, 3.5 * forward_flops)]
    {
        let run = || -> Result<()> {
            let tape = Tape::new();
            let leaves: Vec<Var> = inputs.iter().map(|input| tape.leaf(input.clone())).collect();
            let output = attention(&leaves[0], &leaves[1], &leaves[2])?;
            if backward {
                tape.backward_from(vec![(output, d_output.clone())])?;
            }
            Ok(())
        };
        let seconds = median(device, run)?;
        println!(
            "{dtype} {sizes:?} {name}: median {:.1} us, {:.2} TFLOP/s {how}",
            seconds * 1e6,
            flops / seconds / 1e12
        );
    }
    Ok(())
}

/// Seconds a run: the median of seven batches after half a second of warming.
fn median(device: &Device, run: impl Fn() -> Result<()>) -> Result<f64> {
    let batch = |runs: usize| -> Result<f64> {
        let start = Instant::now();
        for _ in 0..runs {
            run()?;
        }
        device.synchronize()?;
        Ok(start.elapsed().as_secs_f64() / runs as f64)
    };
    let warm = Instant::now();
    let mut last = batch(1)?;
    while warm.elapsed().as_secs_f64() < 0.5 {
        last = batch(((0.05 / last) as usize).clamp(1, 200))?;
    }
    let runs = ((0.1 / last) as usize).clamp(1, 400);
    let mut seconds: Vec<f64> = (0..7).map(|_| batch(runs)).collect::<Result<_>>()?;
    seconds.sort_by(f64::total_cmp);
    Ok(seconds[3])
}
