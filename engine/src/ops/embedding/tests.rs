//! What the table of checks does not show: repeated and missing ids on every device, and ids out of range.

use super::{NAME, embedding};
use crate::check::test_device;
use crate::{Device, Tape, Tensor, Var};

/// d_table for `count` ids drawn by a fixed rule, with dy[i, k] a small integer, so that sums are exact in any order.
fn check(device: &Device, vocabulary: usize, width: usize, count: usize) {
    let ids: Vec<u32> = (0..count as u32).map(|i| (i * i + 3 * i) % 97 % vocabulary as u32).collect();
    let value = |i: usize, k: usize| ((i * 31 + k * 7) % 23) as f32 - 11.0;
    let data: Vec<f32> = (0..vocabulary * width).map(|at| value(at / width, at % width)).collect();
    let tape = Tape::new();
    let table = tape.leaf(Tensor::new(device, &[vocabulary, width], &data).unwrap());
    let y = embedding(&table, &Tensor::new(device, &[count], &ids).unwrap().into()).unwrap();
    let expected: Vec<f32> = ids.iter().flat_map(|&id| (0..width).map(move |k| value(id as usize, k))).collect();
    assert_eq!(y.tensor().to_vec::<f32>().unwrap(), expected);
    let dy: Vec<f32> = (0..count * width).map(|at| value(at % width, at / width)).collect();
    let mut expected = vec![0f32; vocabulary * width];
    for (at, d) in dy.iter().enumerate() {
        expected[ids[at / width] as usize * width + at % width] += d;
    }
    let seed = Tensor::new(device, &[count, width], &dy).unwrap();
    let mut gradients = tape.backward_from(vec![(y, seed)]).unwrap();
    assert_eq!(gradients.take(&table).unwrap().to_vec::<f32>().unwrap(), expected, "{vocabulary} {width} {count}");
}

#[test]
fn gradients_add_up_over_equal_ids() {
    for device in std::iter::once(Device::cpu()).chain(test_device::gpu()) {
        for (vocabulary, width, count) in
            [(5, 3, 7), (3, 40, 1100), (1000, 129, 257), (1, 300, 64), (7, 1, 1), (4, 2, 0)]
        {
            check(&device, vocabulary, width, count);
        }
    }
}

#[test]
fn an_id_out_of_range_is_refused() {
    let on = |device: &Device| {
        let tape = Tape::new();
        let table = tape.leaf(Tensor::new(device, &[2, 2], &[1f32, 2.0, 3.0, 4.0]).unwrap());
        let ids = Var::constant(Tensor::new(device, &[3], &[1u32, 7, 7]).unwrap());
        embedding(&table, &ids).map(|y| (tape, table, y))
    };
    let message = on(&Device::cpu()).unwrap_err().to_string();
    assert_eq!(message, format!("{NAME}: index 7 is not below 2, the table's rows; it is id number 1"));
    // A device of its own: another test's read-back would meet the error.
    let Some(gpu) = test_device::gpu().map(|_| test_device::own(crate::device::gpu::Options::default())) else {
        return;
    };
    let (tape, table, y) = on(&gpu).unwrap();
    // The error comes with whatever is read next, once; then the device goes on.
    let message = table.tensor().to_vec::<f32>().unwrap_err().to_string();
    assert_eq!(message, format!("{NAME}: index 7 is not below 2"));
    let values = y.tensor().to_vec::<f32>().unwrap();
    assert_eq!(values[..2], [3.0, 4.0]);
    assert!(values[2..].iter().all(|value| value.is_nan()));
    let seed = Tensor::new(&gpu, &[3, 2], &[1f32; 6]).unwrap();
    let mut gradients = tape.backward_from(vec![(y, seed)]).unwrap();
    assert_eq!(gradients.take(&table).unwrap().to_vec::<f32>().unwrap(), [0.0, 0.0, 1.0, 1.0]);
    on(&gpu).unwrap();
    assert!(gpu.synchronize().unwrap_err().to_string().contains("index 7"));
    gpu.synchronize().unwrap();
}
