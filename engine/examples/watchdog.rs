//! How long every dispatch and every submission of large work takes, by the device's own clock, beside what was planned:
//! `cargo run --release -p gradus-engine --example watchdog [adapter]`.
//!
//! A driver resets a device that does not answer for some seconds. No dispatch may take over 100 ms and no submission over
//! 500 ms, from the first one on, when nothing is known of the device yet. A software adapter has no watchdog, and this work
//! would take it an hour: there the program says so and ends.

use std::collections::BTreeMap;

use gradus_engine::device::gpu::{Options, adapter};
use gradus_engine::ops::attention::attention;
use gradus_engine::ops::embedding::embedding;
use gradus_engine::ops::linear_cross_entropy::linear_cross_entropy;
use gradus_engine::ops::matmul::matmul;
use gradus_engine::ops::mlstm::{Options as MlstmOptions, mlstm};
use gradus_engine::ops::softmax::softmax;
use gradus_engine::{Device, Result, Tape, Tensor, Var};

const LONGEST_DISPATCH: f64 = 0.1;
const LONGEST_SUBMISSION: f64 = 0.5;

/// A leaf with small numbers.
fn leaf(tape: &Tape, device: &Device, sizes: &[usize]) -> Result<Var> {
    let count = sizes.iter().product();
    let values: Vec<f32> = (0..count).map(|at: usize| ((at * 7919) % 1021) as f32 / 1021.0 - 0.5).collect();
    Ok(tape.leaf(Tensor::new(device, sizes, &values)?))
}

/// Forward and backward of one large piece of work.
type Work = fn(&Tape, &Device) -> Result<Var>;

const WORKS: [(&str, Work); 7] = [
    ("matmul 8192³", |tape, device| matmul(&leaf(tape, device, &[8192, 8192])?, &leaf(tape, device, &[8192, 8192])?)),
    ("attention [1, 16384, 8, 64]", |tape, device| {
        let part = || leaf(tape, device, &[1, 16384, 8, 64]);
        attention(&part()?, &part()?, &part()?)
    }),
    ("attention [4, 4096, 8, 256]", |tape, device| {
        let part = || leaf(tape, device, &[4, 4096, 8, 256]);
        attention(&part()?, &part()?, &part()?)
    }),
    ("mLSTM [8, 8192, 4, 128, 256]", |tape, device| {
        let part = |width: &[usize]| leaf(tape, device, &[&[8, 8192, 4], width].concat());
        mlstm(&part(&[128])?, &part(&[128])?, &part(&[256])?, &part(&[])?, &part(&[])?, MlstmOptions::default())
    }),
    ("softmax [65536, 1024]", |tape, device| softmax(&leaf(tape, device, &[65_536, 1024])?)),
    ("embedding of 32,768 ids in [32768, 1024]", |tape, device| {
        let ids: Vec<u32> = (0..32_768u32).map(|i| i.wrapping_mul(2_654_435_761) % 32_768).collect();
        embedding(&leaf(tape, device, &[32_768, 1024])?, &Tensor::new(device, &[32_768], &ids)?.into())
    }),
    ("linear_cross_entropy [16384, 2048] over 32,768 words", |tape, device| {
        let targets: Vec<u32> = (0..16_384u32).map(|i| i.wrapping_mul(2_654_435_761) % 32_768).collect();
        let (hidden, weight) = (leaf(tape, device, &[16_384, 2048])?, leaf(tape, device, &[32_768, 2048])?);
        linear_cross_entropy(&hidden, &weight, &Tensor::new(device, &[16_384], &targets)?.into(), None)
    }),
];

fn main() -> Result<()> {
    let index = std::env::args().nth(1).and_then(|text| text.parse().ok()).unwrap_or(0);
    let adapters = adapter::list();
    if adapters.get(index).is_some_and(|adapter| adapter.software) {
        println!("{} is a software adapter, which no watchdog ends; nothing is timed", adapters[index].name);
        return Ok(());
    }
    let mut broken = 0;
    for (name, work) in WORKS {
        // A fresh device each time: the first dispatches are planned at cautious rates.
        let gpu = adapter::open(index, Options { time_dispatches: true, ..Options::from_environment() })?;
        let device = Device::Gpu(gpu.clone());
        for round in ["first", "second"] {
            let tape = Tape::new();
            let y = work(&tape, &device)?;
            let ones = Tensor::new(&device, y.sizes(), &vec![1f32; y.tensor().elements()])?;
            drop(tape.backward_from(vec![(y, ones)])?);
            let timings = gpu.take_timings()?;
            let longest = timings.iter().max_by(|a, b| a.seconds.total_cmp(&b.seconds)).cloned().unwrap_or_default();
            let mut submissions = BTreeMap::<usize, f64>::new();
            for timing in &timings {
                *submissions.entry(timing.submission).or_default() += timing.seconds;
            }
            let submission = submissions.values().copied().fold(0.0, f64::max);
            let kept = longest.seconds <= LONGEST_DISPATCH && submission <= LONGEST_SUBMISSION;
            broken += usize::from(!kept);
            println!(
                "{name}, {round} time: {} dispatches in {} submissions, {:.1} ms; longest dispatch {:.1} ms ({}, planned \
                 {:.1}), longest submission {:.1} ms{}",
                timings.len(),
                submissions.len(),
                1e3 * timings.iter().map(|timing| timing.seconds).sum::<f64>(),
                1e3 * longest.seconds,
                longest.kernel,
                1e3 * longest.planned,
                1e3 * submission,
                if kept { "" } else { "  TOO LONG" }
            );
        }
    }
    println!("{}", if broken == 0 { "no watchdog would mind" } else { "some work takes too long" });
    std::process::exit(i32::from(broken > 0));
}
