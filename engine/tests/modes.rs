//! Every operation gives the same bits however it is run: twice, with wgpu's run-time checks, within WebGPU's default limits,
//! with its workgroups folded over two dimensions, cut into many dispatches, and with any number of threads.

mod device;

use gradus_engine::check::{Case, Draw, FORWARD_ONLY, HALF, Outcome, Row, TABLE, half_missing};
use gradus_engine::device::gpu::Options;
use gradus_engine::device::gpu::plan::Rates;
use gradus_engine::{DType, Device};

const SEEDS: std::ops::Range<u64> = 0..2;

fn cases(row: &Row) -> Vec<(Case, Vec<Vec<f64>>)> {
    let draw = |seed| (row.draw)(&mut Draw::new(seed, if seed % 2 == 0 { 256 } else { 3000 }));
    SEEDS.map(|seed| (draw(seed), draw(seed).upstream(seed).unwrap())).collect()
}

fn results(device: &Device, dtype: DType) -> Vec<(String, Outcome)> {
    let mut results = Vec::new();
    // What is f16 in the cases of mixed precision is so on a GPU that has it.
    let half = HALF.iter().chain(FORWARD_ONLY.iter().map(|(row, _)| row)).filter(|_| half_missing(device).is_none());
    for row in TABLE.iter().chain(half) {
        for (case, upstream) in cases(row) {
            let outcome = case.evaluate(device, dtype, &upstream);
            results.push((case.describe(), outcome.unwrap_or_else(|error| panic!("{}: {error}", case.describe()))));
        }
    }
    if let Device::Gpu(gpu) = device {
        gpu.verify_guards().unwrap();
    }
    results
}

fn expect_equal(what: &str, left: &[(String, Outcome)], right: &[(String, Outcome)]) {
    assert_eq!(left.len(), right.len());
    let bits = |outcome: &Outcome| -> Vec<u64> {
        let gradients = outcome.gradients.iter().flatten();
        outcome.outputs.iter().chain(gradients).flatten().map(|x| x.to_bits()).collect()
    };
    let differ: Vec<&str> =
        left.iter().zip(right).filter(|(a, b)| bits(&a.1) != bits(&b.1)).map(|(a, _)| a.0.as_str()).collect();
    assert!(differ.is_empty(), "{what}: other bits in {}", differ.join("; "));
}

/// The checks make another program of a kernel, in which a driver may contract other products and sums into one rounding: the
/// results may differ by rounding on the scale of the largest.
fn expect_close(what: &str, left: &[(String, Outcome)], right: &[(String, Outcome)]) {
    for ((name, left), (_, right)) in left.iter().zip(right) {
        let gradients = |outcome: &Outcome| outcome.gradients.iter().flatten().cloned().collect::<Vec<_>>();
        let all = |outcome: &Outcome| [outcome.outputs.clone(), gradients(outcome)].concat();
        for (left, right) in all(left).iter().zip(all(right)) {
            let most = right.iter().fold(0.0f64, |most, x| most.max(x.abs()));
            let near = left.iter().zip(&right).all(|(a, b)| (a - b).abs() <= 1e-5 * most);
            assert!(near, "{what}: other numbers in {name}");
        }
    }
}

/// One device after the other: some drivers do not bear several.
fn open(options: Options) -> Option<Device> {
    device::open(Options { guard_bands: true, ..options })
}

#[test]
fn the_same_bits_in_every_mode_of_a_gpu() {
    let Some(device) = open(Options::default()) else { return };
    let plain = results(&device, DType::F32);
    expect_equal("a second run", &plain, &results(&device, DType::F32));
    drop(device);
    // 50 workgroups a dimension: what has more is folded. So low rates that nearly every dispatch is cut.
    let modes = [
        ("checked kernels", Options { checked_kernels: true, ..Options::default() }),
        ("default limits", Options { default_limits: true, ..Options::default() }),
        ("folded workgroups", Options { most_workgroups: Some(50), ..Options::default() }),
        ("cut dispatches", Options { rates: Some(Rates { flops: 2e4, bytes: 2e4 }), ..Options::default() }),
    ];
    for (what, options) in modes {
        let Some(device) = open(options) else { return };
        let software = matches!(&device, Device::Gpu(gpu) if gpu.report().software);
        let found = results(&device, DType::F32);
        // WebGPU's defaults have no f16.
        let plain = if options.default_limits { &plain[..TABLE.len() * SEEDS.count()] } else { &plain };
        if options.checked_kernels && !software {
            expect_close(what, plain, &found);
        } else {
            expect_equal(what, plain, &found);
        }
    }
}

#[test]
fn the_same_bits_with_any_number_of_threads() {
    let with = |threads: usize, dtype: DType| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| results(&Device::cpu(), dtype))
    };
    for dtype in [DType::F32, DType::F64] {
        let one = with(1, dtype);
        for threads in [2, 5] {
            expect_equal(&format!("{threads} threads, {dtype}"), &one, &with(threads, dtype));
        }
    }
}
