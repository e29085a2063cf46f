//! Stored tensors on a device: f32, f16 and bf16 become f32 piece by piece, straight from the mapped file.

use std::path::Path;

use gradus_engine::{DType, Device, Tensor};
use half::{bf16, f16};
use rayon::prelude::*;
use safetensors::Dtype;
use safetensors::tensor::TensorView;

use crate::{Error, Result};

/// Elements converted by one thread at a time.
const BLOCK: usize = 1 << 16;
/// Elements that wait in host memory for their way to a GPU: 16 MiB of f32.
pub(super) const PIECE: usize = 1 << 22;
/// Such pieces of a tensor that wait at most.
const WAITING: usize = 8;

/// Whether a stored type can be read as f32.
pub(super) fn readable(dtype: Dtype) -> bool {
    matches!(dtype, Dtype::F32 | Dtype::F16 | Dtype::BF16)
}

/// A stored tensor as f32 on a device.
///
/// # Errors
/// A type other than f32, f16 or bf16; an allocation that the device refuses.
pub fn to_tensor(path: &Path, name: &str, view: &TensorView, device: &Device) -> Result<Tensor> {
    if !readable(view.dtype()) {
        let message = format!("tensor `{name}` is {:?}; f32, f16 and bf16 can be read", view.dtype());
        return Err(Error::content(path, message));
    }
    from_rows(view.dtype(), view.data(), view.shape(), device)
}

/// A tensor of these sizes from the bytes of its elements.
pub(super) fn from_rows(dtype: Dtype, data: &[u8], sizes: &[usize], device: &Device) -> Result<Tensor> {
    match device {
        Device::Cpu(cpu) => Ok(Tensor::on_cpu(cpu, sizes, |out: &mut [f32]| widen(dtype, data, out))?),
        Device::Gpu(gpu) => {
            let mut tensor = Tensor::on_gpu(gpu, "weights", sizes, DType::F32)?;
            let width = dtype.bitsize() / 8;
            let mut values = vec![0f32; PIECE.min(tensor.elements())];
            for (place, piece) in data.chunks(PIECE * width).enumerate() {
                let values = &mut values[..piece.len() / width];
                widen(dtype, piece, values);
                tensor.write(place * PIECE, values)?;
                if place % WAITING == WAITING - 1 {
                    device.synchronize()?;
                }
            }
            Ok(tensor)
        }
    }
}

/// f32 of the elements' bytes, little endian. `data` has as many elements as `out`.
pub(super) fn widen(dtype: Dtype, data: &[u8], out: &mut [f32]) {
    let width = dtype.bitsize() / 8;
    out.par_chunks_mut(BLOCK).zip(data.par_chunks(BLOCK * width)).for_each(|(out, data)| match dtype {
        Dtype::F16 => put(out, data, |bytes| f16::from_le_bytes(bytes).to_f32()),
        Dtype::BF16 => put(out, data, |bytes| bf16::from_le_bytes(bytes).to_f32()),
        _ => put(out, data, f32::from_le_bytes),
    });
}

fn put<const N: usize>(out: &mut [f32], data: &[u8], read: impl Fn([u8; N]) -> f32) {
    for (out, bytes) in out.iter_mut().zip(data.as_chunks::<N>().0) {
        *out = read(*bytes);
    }
}

/// The type that weights are written in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Stored {
    /// f32, exactly as they are computed with.
    #[default]
    F32,
    /// f16, rounded to nearest; beyond ±65504 there is only infinity.
    F16,
    /// bf16, rounded to nearest.
    Bf16,
}

impl Stored {
    /// The name in `config.json`.
    pub fn name(self) -> &'static str {
        match self {
            Self::F32 => "float32",
            Self::F16 => "float16",
            Self::Bf16 => "bfloat16",
        }
    }

    /// The name in safetensors files.
    pub(super) fn safetensors_name(self) -> &'static str {
        match self {
            Self::F32 => "F32",
            Self::F16 => "F16",
            Self::Bf16 => "BF16",
        }
    }

    /// Bytes of an element.
    pub(super) fn width(self) -> u64 {
        if self == Self::F32 { 4 } else { 2 }
    }

    /// The bytes of these values; `None` where a finite one would become infinite.
    pub(super) fn narrow(self, values: &[f32]) -> Option<Vec<u8>> {
        Some(match self {
            Self::F32 => values.iter().flat_map(|value| value.to_le_bytes()).collect(),
            Self::Bf16 => {
                let narrowed: Vec<bf16> = values.iter().map(|value| bf16::from_f32(*value)).collect();
                fits(values, narrowed.iter().map(|value| value.is_finite()))?;
                narrowed.iter().flat_map(|value| value.to_le_bytes()).collect()
            }
            Self::F16 => {
                let narrowed: Vec<f16> = values.iter().map(|value| f16::from_f32(*value)).collect();
                fits(values, narrowed.iter().map(|value| value.is_finite()))?;
                narrowed.iter().flat_map(|value| value.to_le_bytes()).collect()
            }
        })
    }
}

fn fits(values: &[f32], mut finite: impl Iterator<Item = bool>) -> Option<()> {
    values.iter().all(|value| finite.next() == Some(true) || !value.is_finite()).then_some(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::folder::tests::devices;

    #[test]
    fn every_type_is_widened_exactly_on_every_device() {
        // More than a piece, so that the second begins in the right place.
        let count = PIECE + 3;
        let halves: Vec<f16> = (0..count).map(|i| f16::from_f32((i % 2039) as f32 / 7.0 - 100.0)).collect();
        let brains: Vec<bf16> = halves.iter().map(|x| bf16::from_f32(x.to_f32())).collect();
        let floats: Vec<f32> = halves.iter().map(|x| x.to_f32() / 3.0).collect();
        let bytes = |bits: &mut dyn Iterator<Item = u16>| -> Vec<u8> { bits.flat_map(u16::to_le_bytes).collect() };
        let f16_bytes = bytes(&mut halves.iter().map(|x| x.to_bits()));
        let bf16_bytes = bytes(&mut brains.iter().map(|x| x.to_bits()));
        let f32_bytes: Vec<u8> = floats.iter().flat_map(|x| x.to_le_bytes()).collect();
        for device in devices() {
            for (dtype, data, expected) in [
                (Dtype::F16, &f16_bytes, halves.iter().map(|x| x.to_f32()).collect::<Vec<f32>>()),
                (Dtype::BF16, &bf16_bytes, brains.iter().map(|x| x.to_f32()).collect()),
                (Dtype::F32, &f32_bytes, floats.clone()),
            ] {
                let tensor = from_rows(dtype, data, &[count], &device).unwrap();
                assert!(tensor.to_vec::<f32>().unwrap() == expected, "{dtype:?} on {}", device.name());
            }
        }
    }

    #[test]
    fn what_does_not_fit_is_not_written() {
        assert_eq!(Stored::F16.narrow(&[1.0, -2.0]).unwrap(), [0x00, 0x3c, 0x00, 0xc0]);
        assert_eq!(Stored::Bf16.narrow(&[1.0]).unwrap(), [0x80, 0x3f]);
        assert_eq!(Stored::F16.narrow(&[1e6]), None);
        assert!(Stored::Bf16.narrow(&[1e6]).is_some() && Stored::F16.narrow(&[f32::INFINITY]).is_some());
        assert_eq!(Stored::Bf16.narrow(&[f32::MAX]), None);
    }
}
