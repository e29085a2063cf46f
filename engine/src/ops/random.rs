//! Random numbers made on a GPU, for weights that need never be on the host.

use bytemuck::{Pod, Zeroable, bytes_of};
use gradus_shaders::random as shaders;

use crate::DType;
use crate::device::Gpu;
use crate::device::gpu::{Cost, Dispatch, Workgroups};
use crate::error::{Error, Result};
use crate::tensor::Tensor;

const NAME: &str = "random";

#[derive(Clone, Copy, Pod, Zeroable)]
#[repr(C)]
struct Parameters {
    quads: u32,
    deviation: f32,
    seed: [u32; 2],
}

/// Normal numbers with mean 0 and this deviation as f16: the same for the same seed on the same device.
///
/// # Errors
/// A number of elements that is no multiple of 4; an allocation that the device refuses.
pub fn normal_half(gpu: &Gpu, sizes: &[usize], deviation: f64, seed: u64) -> Result<Tensor> {
    let y = Tensor::on_gpu(gpu, NAME, sizes, DType::F16)?;
    if !y.elements().is_multiple_of(4) {
        return Err(Error::shape(NAME, format!("numbers are made four at a time, which {sizes:?} are not")));
    }
    let quads = y.elements() / 4;
    let parameters =
        Parameters { quads: quads as u32, deviation: deviation as f32, seed: [seed as u32, (seed >> 32) as u32] };
    gpu.dispatch(&Dispatch {
        operation: NAME,
        kernel: &shaders::NORMAL,
        element: DType::F32,
        constants: &[],
        parameters: bytes_of(&parameters),
        buffers: &[&y],
        workgroups: Workgroups::Linear(quads.div_ceil(256)),
        cost: Cost { flops: 200.0 * quads as f64, bytes: 8.0 * quads as f64 },
    })?;
    Ok(y)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::test_device::gpu;
    use crate::device::Device;

    #[test]
    fn numbers_have_the_deviation_and_follow_from_the_seed() {
        let Some(Device::Gpu(gpu)) = gpu() else { return };
        let made = |seed| normal_half(&gpu, &[300, 40], 0.02, seed).unwrap().to_f64().unwrap();
        let numbers = made(7);
        assert!(numbers == made(7) && numbers != made(8) && numbers != made(7 + (1 << 40)));
        let count = numbers.len() as f64;
        let mean = numbers.iter().sum::<f64>() / count;
        let moment = |power| numbers.iter().map(|x| (x / 0.02).powi(power)).sum::<f64>() / count;
        assert!(mean.abs() < 4.0 * 0.02 / count.sqrt(), "{mean}");
        assert!((moment(2) - 1.0).abs() < 0.06, "{}", moment(2));
        assert!((moment(4) - 3.0).abs() < 0.4, "{}", moment(4));
        assert!(normal_half(&gpu, &[3], 1.0, 0).is_err());
    }
}
