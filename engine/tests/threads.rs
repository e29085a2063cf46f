//! Eight threads create, compute, read and drop on one device at once, and each gets its own right numbers.

mod device;

use gradus_engine::device::gpu::Options;
use gradus_engine::ops::arithmetic::multiply;
use gradus_engine::ops::matmul::matmul;
use gradus_engine::ops::softmax::softmax;
use gradus_engine::{Device, Tape, Tensor, Var};

fn work(device: &Device, seed: usize) {
    for round in 0..12 {
        let size = 8 + (seed * 7 + round * 3) % 29;
        let value = |i: usize| ((i * 31 + seed * 17 + round) % 23) as f32 / 8.0 - 1.0;
        let data: Vec<f32> = (0..size * size).map(value).collect();
        let run = |device: &Device| -> Vec<f32> {
            let tape = Tape::new();
            let x = tape.leaf(Tensor::new(device, &[size, size], &data).unwrap());
            let y: Var = softmax(&matmul(&x, &multiply(&x, &x).unwrap()).unwrap()).unwrap();
            let seed = Tensor::new(device, &[size, size], &data).unwrap();
            let found = y.tensor().to_vec::<f32>().unwrap();
            let gradient = tape.backward_from(vec![(y, seed)]).unwrap().take(&x).unwrap();
            [found, gradient.to_vec::<f32>().unwrap()].concat()
        };
        let (got, expected) = (run(device), run(&Device::cpu()));
        let most = expected.iter().fold(0f32, |most, x| most.max(x.abs()));
        for (got, expected) in got.iter().zip(&expected) {
            assert!((got - expected).abs() <= 1e-4 * most, "thread {seed}, round {round}: {got} for {expected}");
        }
    }
}

fn on(device: &Device) {
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..8).map(|seed| scope.spawn(move || work(device, seed))).collect();
        for thread in threads {
            thread.join().unwrap();
        }
    });
    device.synchronize().unwrap();
}

#[test]
fn eight_threads_share_the_cpu() {
    on(&Device::cpu());
}

#[test]
fn eight_threads_share_a_gpu() {
    let Some(device) = device::open(Options::from_environment()) else { return };
    on(&device);
    let (in_use, peak) = device.memory();
    assert!(in_use == 0 && peak > 0, "{in_use} bytes are still in use, {peak} were");
}
