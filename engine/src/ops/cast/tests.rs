//! Bits: every f16, and the f32 around which rounding, overflow and subnormal numbers are decided.

use half::f16;

use super::cast;
use crate::check::test_device;
use crate::{DType, Device, Element, Tape, Tensor, Var};

fn devices() -> impl Iterator<Item = Device> {
    std::iter::once(Device::cpu()).chain(test_device::gpu())
}

fn converted<T: Element, U: Element>(device: &Device, data: &[T]) -> Vec<U> {
    let x = Var::constant(Tensor::new(device, &[data.len()], data).unwrap());
    cast(&x, U::DTYPE).unwrap().tensor().to_vec().unwrap()
}

/// The nearest f16, found among its neighbours in f64: slow and plain.
fn nearest(x: f64) -> u16 {
    if x.is_nan() {
        return f16::NAN.to_bits();
    }
    let sign = if x.is_sign_negative() { 0x8000 } else { 0 };
    let magnitude = x.abs();
    if magnitude >= 65520.0 {
        return sign | 0x7c00;
    }
    let value = |bits: u16| f16::from_bits(bits).to_f64();
    let (mut low, mut high) = (0u16, 0x7bff);
    while low < high {
        let middle = (low + high).div_ceil(2);
        (low, high) = if value(middle) <= magnitude { (middle, high) } else { (low, middle - 1) };
    }
    if low == 0x7bff {
        return sign | low;
    }
    let (below, above) = (magnitude - value(low), value(low + 1) - magnitude);
    sign | if above < below || (above == below && low % 2 == 1) { low + 1 } else { low }
}

#[test]
fn every_half_becomes_its_float_and_comes_back() {
    let halves: Vec<f16> = (0..=u16::MAX).map(f16::from_bits).collect();
    for device in devices() {
        let floats: Vec<f32> = converted(&device, &halves);
        let back: Vec<f16> = converted(&device, &floats);
        for ((half, float), back) in halves.iter().zip(&floats).zip(back) {
            let (bits, exact) = (half.to_bits(), half.to_f32_const());
            assert!(float.to_bits() == exact.to_bits() || (float.is_nan() && exact.is_nan()), "{bits:x} on {device:?}");
            assert!(back.to_bits() == bits || (back.is_nan() && half.is_nan()), "{bits:x}: {back:?} on {device:?}");
        }
    }
}

#[test]
fn floats_are_rounded_to_the_nearest_half() {
    // Each f16, the middle between it and the next, and their neighbours in f32; then what no f16 is near to.
    let mut floats: Vec<f32> = (0..0x7c00u16)
        .flat_map(|bits| {
            let (low, high) = (f16::from_bits(bits).to_f32(), f16::from_bits(bits + 1).to_f32());
            let middle = if high.is_finite() { (low + high) / 2.0 } else { 65520.0 };
            [low, middle, middle.next_up(), middle.next_down()]
        })
        .flat_map(|x| [x, -x])
        .collect();
    floats.extend([
        f32::MAX,
        f32::INFINITY,
        f32::NEG_INFINITY,
        65519.996,
        1e5,
        f32::MIN_POSITIVE,
        1e-40,
        2f32.powi(-25),
    ]);
    floats.extend([f32::NAN, -f32::NAN, f32::from_bits(0x7f80_0001), f32::from_bits(0xff80_0100)]);
    let right = |x: f64, half: f16| half.to_bits() == nearest(x) || (x.is_nan() && half.is_nan());
    for device in devices() {
        for (&x, half) in floats.iter().zip(converted::<f32, f16>(&device, &floats)) {
            assert!(right(x.into(), half), "{x:e} became {half:?} on {device:?}");
        }
    }
    // A middle that only an f64 misses: through f32 it would be rounded twice.
    let doubles: Vec<f64> =
        floats.iter().map(|&x| f64::from(x)).flat_map(|x| [x, x.next_up(), x.next_down()]).collect();
    for (&x, half) in doubles.iter().zip(converted::<f64, f16>(&Device::cpu(), &doubles)) {
        assert!(right(x, half), "{x:e} became {half:?}");
    }
}

#[test]
fn numbers_and_odd_counts() {
    for device in devices() {
        for count in [0, 1, 2, 3, 257, 1025] {
            let numbers: Vec<u32> = (0..count).map(|i| i * 64).collect();
            let floats: Vec<f32> = numbers.iter().map(|&i| i as f32).collect();
            assert_eq!(converted::<u32, f32>(&device, &numbers), floats);
            let halves: Vec<f16> = floats.iter().map(|&x| f16::from_f32(x)).collect();
            assert_eq!(converted::<u32, f16>(&device, &numbers), halves, "{count} on {device:?}");
            assert_eq!(converted::<f32, f16>(&device, &floats), halves, "{count} on {device:?}");
            let exact: Vec<f32> = halves.iter().map(|x| x.to_f32()).collect();
            assert_eq!(converted::<f16, f32>(&device, &halves), exact, "{count} on {device:?}");
        }
    }
}

#[test]
fn gradients_come_back_in_the_type_of_the_input() {
    for device in devices() {
        let tape = Tape::new();
        let x = tape.leaf(Tensor::new(&device, &[3], &[1f32, 2.0, 3.0]).unwrap());
        let y = cast(&cast(&x, DType::F16).unwrap(), DType::F32).unwrap();
        let seed = Tensor::new(&device, &[3], &[1f32, 1.0 + 2f32.powi(-13), -2.5]).unwrap();
        let gradient = tape.backward_from(vec![(y, seed)]).unwrap().take(&x).unwrap();
        assert_eq!(gradient.to_vec::<f32>().unwrap(), [1.0, 1.0, -2.5]);
    }
}

#[test]
fn what_cannot_be_cast_is_refused() {
    for device in devices() {
        let x = Var::constant(Tensor::new(&device, &[2], &[1f32, 2.0]).unwrap());
        let error = cast(&x, DType::U32).unwrap_err().to_string();
        assert_eq!(error, "cast: f32 [2] cannot become u32: only f32, f64 and f16 can be cast to");
        if device.is_gpu() {
            assert!(cast(&x, DType::F64).unwrap_err().to_string().contains("WGSL has no 64-bit floats"));
        }
    }
}
