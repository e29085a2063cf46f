//! Times the mLSTM: `cargo run --release -p gradus-engine --example mlstm_speed [cpu|GPU number] [tiny|small|large]`.
//!
//! Forward alone, forward and backward, and the single step; each figure is the median of several runs after a warm-up.

use std::time::Instant;

use gradus_engine::ops::mlstm::{Options, State, mlstm, mlstm_step};
use gradus_engine::{Device, Result, Tape, Tensor, Var};

/// Batch, sequence, heads, qk_dim, v_dim.
const SIZES: [(&str, [usize; 5]); 3] =
    [("tiny", [8, 256, 4, 16, 32]), ("small", [8, 1024, 4, 64, 128]), ("large", [1, 2048, 8, 256, 512])];

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let device = match arguments.first().map(String::as_str) {
        None | Some("cpu") => Device::cpu(),
        Some(index) => Device::gpu(index.parse().unwrap_or(0))?,
    };
    println!("{}", device.name());
    for (name, sizes) in SIZES {
        if arguments.get(1).is_none_or(|only| only == name) {
            time(&device, name, sizes)?;
        }
    }
    Ok(())
}

fn time(device: &Device, name: &str, [batch, sequence, heads, qk_dim, v_dim]: [usize; 5]) -> Result<()> {
    let mut seed = 1u32;
    let mut tensor = |sizes: &[usize], mean: f32| {
        let mut number = || {
            seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            mean + (seed >> 8) as f32 / (1 << 23) as f32 - 1.0
        };
        let data: Vec<f32> = (0..sizes.iter().product()).map(|_| number()).collect();
        Tensor::new(device, sizes, &data)
    };
    let mut inputs = |sequence: usize| -> Result<Vec<Tensor>> {
        Ok(vec![
            tensor(&[batch, sequence, heads, qk_dim], 0.3)?,
            tensor(&[batch, sequence, heads, qk_dim], 0.3)?,
            tensor(&[batch, sequence, heads, v_dim], 0.0)?,
            tensor(&[batch, sequence, heads], 0.0)?,
            tensor(&[batch, sequence, heads], 3.0)?,
        ])
    };
    let (whole, one) = (inputs(sequence)?, inputs(1)?);
    let d_h = tensor(&[batch, sequence, heads, v_dim], 0.0)?;
    for chunk_size in [32, 64, 128, 256] {
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
        println!("{name:6} chunk {chunk_size:3}: forward {forward:8.3} ms, with backward {both:8.3} ms");
    }
    let inputs: Vec<Var> = one.into_iter().map(Var::constant).collect();
    let mut state = State::empty(device, batch, heads, qk_dim, v_dim)?;
    let step = median(device, || {
        let next = mlstm_step(&inputs[0], &inputs[1], &inputs[2], &inputs[3], &inputs[4], &state, Options::default())?;
        state = next.1;
        Ok(())
    })?;
    println!("{name:6} step: {step:.4} ms");
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
