//! What the device does at most: the speed of its best matrix product, measured before the first step, so that the speed of a
//! run can be shown as a share of it.

use std::time::Instant;

use gradus_engine::ops::matmul::matmul;
use gradus_engine::{Device, Result, Tensor, Var};
use half::f16;

use crate::bench::inputs::floats;
use crate::configuration::Mode;

/// When to stop, in seconds.
const TIME: f64 = 0.3;
/// A product that is expected to take longer is not tried, in seconds.
const LONGEST_PRODUCT: f64 = 0.05;
/// Seconds of products in a row before they are waited for, and the most of them.
const STRETCH: f64 = 0.02;
const MOST_PRODUCTS: f64 = 64.0;
/// Rows of the smallest and of the largest matrices.
const ROWS: [usize; 2] = [256, 4096];
/// Different numbers in a matrix; prime, so that its rows differ.
const NUMBERS: usize = 4099;

/// The speed of the fastest product that was seen.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Ceiling {
    /// Floating-point operations a second, a multiply-add as two.
    pub flops: f64,
    /// Rows and columns of the matrices.
    pub rows: usize,
    /// Whether it is a GPU that the processor plays.
    pub software: bool,
}

impl Ceiling {
    /// Measures it within about [`TIME`]: products of square matrices in the precision of a run, larger and larger as long as
    /// one is short and its matrices fit in `room` bytes, which the run needs later on anyway.
    ///
    /// # Errors
    /// What the device meets.
    pub fn measure(device: &Device, mode: Mode, room: u64) -> Result<Self> {
        let started = Instant::now();
        let goes_on = || started.elapsed().as_secs_f64() < TIME;
        let mut rows = ROWS[0];
        let mut product = Product::new(device, mode, rows)?;
        let mut seconds = product.seconds(1)?;
        while goes_on() && 8.0 * seconds < LONGEST_PRODUCT && 2 * rows <= ROWS[1] && bytes(2 * rows) <= room {
            rows *= 2;
            product = Product::new(device, mode, rows)?;
            seconds = product.seconds(1)?;
        }
        while goes_on() {
            let count = (STRETCH / seconds).ceil().clamp(1.0, MOST_PRODUCTS);
            seconds = seconds.min(product.seconds(count as usize)?);
        }
        drop(product);
        let mut software = false;
        if let Device::Gpu(gpu) = device {
            software = gpu.report().software;
            // Its memory is for the run.
            gpu.trim()?;
        }
        Ok(Self { flops: 2.0 * (rows as f64).powi(3) / seconds, rows, software })
    }
}

/// The most that a product takes: its operand in f32, its result, and that of the one before.
fn bytes(rows: usize) -> u64 {
    3 * 4 * (rows * rows) as u64
}

/// The square of a matrix.
struct Product {
    operand: Var,
    device: Device,
}

impl Product {
    /// Ready to be timed: the first launch, which compiles, is done.
    fn new(device: &Device, mode: Mode, rows: usize) -> Result<Self> {
        let numbers = floats(0, NUMBERS, 0.0);
        let sizes = [rows, rows];
        let content = || numbers.iter().copied().cycle().take(rows * rows);
        let operand = match mode {
            Mode::F32 => Tensor::new(device, &sizes, &content().collect::<Vec<f32>>())?,
            Mode::Mixed => Tensor::new(device, &sizes, &content().map(f16::from_f32).collect::<Vec<f16>>())?,
        };
        let product = Self { operand: operand.into(), device: device.clone() };
        product.seconds(1)?;
        Ok(product)
    }

    /// Seconds of one, the mean of `count` in a row.
    fn seconds(&self, count: usize) -> Result<f64> {
        let start = Instant::now();
        for _ in 0..count {
            matmul(&self.operand, &self.operand)?;
        }
        self.device.synchronize()?;
        Ok(start.elapsed().as_secs_f64() / count as f64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ceiling_is_a_speed_and_keeps_within_the_room() {
        let device = Device::cpu();
        let (_, before) = device.memory();
        let room = bytes(512);
        let ceiling = Ceiling::measure(&device, Mode::F32, room).unwrap();
        assert!(ceiling.rows <= 512 && !ceiling.software && ceiling.flops.is_finite() && ceiling.flops > 0.0);
        assert!(device.memory().1 - before <= room && device.memory().0 == 0, "{:?}", device.memory());
    }
}
