//! Permutation on a GPU: bindings and grids. Tiles where the last dimension moves and both that meet there are long.

use bytemuck::{Pod, Zeroable, bytes_of};
use gradus_shaders::{Kernel, permute as shaders};

use super::{Axis, NAME};
use crate::DType;
use crate::device::Gpu;
use crate::device::gpu::{Cost, Dispatch, Workgroups};
use crate::error::Result;
use crate::ops::packs::Packs;
use crate::tensor::Tensor;

/// The side of a tile.
const TILE: usize = 32;
/// Dimensions shorter than this would leave most of a tile empty.
const LEAST: usize = 12;

#[derive(Clone, Copy, Pod, Zeroable)]
#[repr(C)]
struct Tiles {
    others: [u32; 4],
    x_others: [u32; 4],
    y_others: [u32; 4],
    size_from: u32,
    size_to: u32,
    tiles_from: u32,
    tiles_to: u32,
}

#[derive(Clone, Copy, Pod, Zeroable)]
#[repr(C)]
struct Plain {
    sizes: [u32; 4],
    strides: [u32; 4],
    size_last: u32,
    stride_last: u32,
    count: u32,
    _align: u32,
}

pub(super) fn permute(gpu: &Gpu, x: &Tensor, axes: &[Axis]) -> Result<Tensor> {
    let y = Tensor::on_gpu(gpu, NAME, &[x.elements()], x.dtype())?;
    let [outer @ .., last] = axes else { return Ok(x.clone()) };
    let from = outer.iter().position(|axis| axis.stride == 1);
    match from {
        Some(from) if outer[from].size.min(last.size) >= LEAST => tiles(gpu, axes, from, [x, &y])?,
        _ => plain(gpu, outer, *last, [x, &y])?,
    }
    Ok(y)
}

fn dispatch(
    gpu: &Gpu,
    kernel: &'static Kernel,
    parameters: &[u8],
    buffers: [&Tensor; 2],
    grid: Workgroups,
) -> Result<()> {
    gpu.dispatch(&Dispatch {
        operation: NAME,
        kernel,
        element: DType::F32,
        constants: &[],
        parameters,
        buffers: &buffers,
        workgroups: grid,
        cost: Cost { flops: 0.0, bytes: 8.0 * buffers[0].elements() as f64 },
    })
}

/// Axis `from` of y is x's last.
fn tiles(gpu: &Gpu, axes: &[Axis], from: usize, buffers: [&Tensor; 2]) -> Result<()> {
    let to = axes.len() - 1;
    let y_stride = |at: usize| -> usize { axes[at + 1..].iter().map(|axis| axis.size).product() };
    let (mut others, mut x_others, mut y_others) = ([1; 4], [0; 4], [0; 4]);
    let slots = others.iter_mut().zip(&mut x_others).zip(&mut y_others).take(3).rev();
    // The last of the others goes to the last slot, which changes fastest.
    for (at, ((size, x), y)) in (0..to).rev().filter(|&at| at != from).zip(slots) {
        (*size, *x, *y) = (axes[at].size as u32, axes[at].stride as u32, y_stride(at) as u32);
    }
    let [tiles_from, tiles_to] = [from, to].map(|at| axes[at].size.div_ceil(TILE));
    let count = tiles_from * tiles_to * others[..3].iter().map(|&size| size as usize).product::<usize>();
    others[3] = count as u32;
    x_others[3] = axes[to].stride as u32;
    y_others[3] = y_stride(from) as u32;
    let parameters = Tiles {
        others,
        x_others,
        y_others,
        size_from: axes[from].size as u32,
        size_to: axes[to].size as u32,
        tiles_from: tiles_from as u32,
        tiles_to: tiles_to as u32,
    };
    dispatch(gpu, &shaders::TILES, bytes_of(&parameters), buffers, Workgroups::Linear(count))
}

fn plain(gpu: &Gpu, outer: &[Axis], last: Axis, buffers: [&Tensor; 2]) -> Result<()> {
    // By fours where rows are whole packs and so are all the distances between them.
    let four = last.stride == 1 && last.size.is_multiple_of(4);
    let width = if four { 4 } else { 1 };
    let (mut sizes, mut strides) = ([1; 4], [0; 4]);
    for ((size, stride), axis) in sizes.iter_mut().zip(&mut strides).rev().zip(outer.iter().rev()) {
        (*size, *stride) = (axis.size as u32, (axis.stride / width) as u32);
    }
    let count = buffers[0].elements() / width;
    let parameters = Plain {
        sizes,
        strides,
        size_last: (last.size / width) as u32,
        stride_last: last.stride as u32,
        count: count as u32,
        _align: 0,
    };
    let kernel = &shaders::PLAIN[usize::from(four)];
    dispatch(gpu, kernel, bytes_of(&parameters), buffers, Packs::elementwise(count))
}
