//! The matrix product of two square matrices in f32, and of f16 on matrix units with sums in f32.

use gradus_engine::device::gpu::{Cost, Dispatch, Workgroups};
use gradus_engine::ops::matmul::matmul_in_tiles;
use gradus_engine::{DType, Device, Error, Result, Tensor};
use gradus_shaders::{Kernel, ladder, matmul};

use super::{Rung, Subject};
use crate::bench::inputs::{Input, Rotation};
use crate::bench::stopwatch::Prepare;

/// The rungs for matrices [n, n].
pub fn subject(n: usize) -> Subject {
    let mut rungs = vec![
        rung("naive".into(), n, "an invocation for each element, every operand from global memory", |a, b| {
            teaching(&ladder::MATMUL_NAIVE, ladder::NAIVE_LANES, 1, a, b)
        }),
        rung("panels 16x16".into(), n, "panels in workgroup memory: 16 times fewer reads of global memory", |a, b| {
            teaching(&ladder::MATMUL_PANELS, ladder::PANEL_TILE, ladder::PANEL_TILE, a, b)
        }),
    ];
    // From small tiles to large.
    for tile in matmul::TILES.into_iter().rev() {
        let [rows, columns, depth, down, across] = tile;
        let name = format!("tiles {rows}x{columns}x{depth}, {}x{}", 4 * down, 4 * across);
        rungs.push(rung(name, n, lesson(tile), move |a, b| matmul_in_tiles(a, b, tile)));
    }
    for tile in matmul::UNIT_TILES.into_iter().rev() {
        let [rows, columns, depth, down, across] = tile;
        let name = format!("units {rows}x{columns}x{depth}, {down}x{across}");
        let lesson = match tile {
            [64, ..] => "f16 on matrix units: 16x16 products of a whole subgroup, two panels on their way",
            _ => "64x64 elements a subgroup: half the reads of workgroup memory for each product",
        };
        rungs.push(Rung {
            name,
            lesson,
            half: true,
            prepare: prepare(n, true, move |a, b| matmul_in_tiles(a, b, tile)),
        });
    }
    Subject { name: "matmul", sizes: format!("{n} x {n} x {n}"), flops: 2.0 * (n as f64).powi(3), rungs }
}

fn lesson(tile: [u32; 5]) -> &'static str {
    match tile {
        [32, 32, ..] => "4x4 elements in registers: 4 times fewer reads of workgroup memory, the next panel on its way",
        [64, 64, ..] => {
            "half the reads of global memory, 8x4 elements in registers; twice the depth behind each barrier"
        }
        [128, 64, ..] => "8x8 elements in registers: fewer reads of workgroup memory for each product",
        _ => "another tile",
    }
}

fn rung(
    name: String,
    n: usize,
    lesson: &'static str,
    run: impl Fn(&Tensor, &Tensor) -> Result<Tensor> + Copy + 'static,
) -> Rung {
    Rung { name, lesson, half: false, prepare: prepare(n, false, run) }
}

fn prepare(n: usize, half: bool, run: impl Fn(&Tensor, &Tensor) -> Result<Tensor> + Copy + 'static) -> Prepare {
    Box::new(move |session| {
        let inputs = [n, n].map(|n| Input::new(&[n, n]).in_half(half));
        let inputs = Rotation::new(&session.device, session.is_processor(), &inputs)?;
        Ok(Box::new(move || {
            let pair = inputs.tensors();
            run(&pair[0], &pair[1])
        }))
    })
}

/// Runs a kernel of the ladder whose workgroup computes a tile of `rows` by `columns` elements, or `rows` elements in a row
/// of all if `columns` is 1.
fn teaching(kernel: &'static Kernel, rows: usize, columns: usize, a: &Tensor, b: &Tensor) -> Result<Tensor> {
    let (Device::Gpu(gpu), &[height, depth], &[_, width]) = (a.device(), a.sizes(), b.sizes()) else {
        return Err(Error::shape("matmul", format!("takes two matrices on a GPU, got {a:?} and {b:?}")));
    };
    let c = Tensor::on_gpu(&gpu, "matmul", &[height, width], DType::F32)?;
    let column_tiles = width.div_ceil(columns);
    let workgroups = if columns == 1 { (height * width).div_ceil(rows) } else { height.div_ceil(rows) * column_tiles };
    let parameters: Vec<u8> =
        [height, width, depth, column_tiles].into_iter().flat_map(|size| (size as u32).to_ne_bytes()).collect();
    gpu.dispatch(&Dispatch {
        operation: "matmul",
        kernel,
        element: DType::F32,
        constants: &[],
        parameters: &parameters,
        buffers: &[a, b, &c],
        workgroups: Workgroups::Linear(workgroups),
        cost: Cost {
            flops: 2.0 * (height * depth) as f64 * width as f64,
            bytes: 4.0 * (height * depth + depth * width + height * width) as f64,
        },
    })?;
    Ok(c)
}
