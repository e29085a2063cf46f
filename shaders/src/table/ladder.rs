//! The lower rungs of the ladders that `gradus bench ladder` times: kernels to learn from. No operation runs them.

use super::*;

const fn product(name: &'static str, files: &'static [File]) -> Kernel {
    Kernel { name, files, bindings: &[Read, Read, ReadWrite], variants: &[&[]] }
}

/// A matrix product, an element an invocation, every operand from global memory.
pub static MATMUL_NAIVE: Kernel = product("ladder/matmul_naive", &[INDEX, file!("ladder/matmul_naive.wgsl")]);
/// A matrix product, an element an invocation, panels of the operands in workgroup memory.
pub static MATMUL_PANELS: Kernel = product("ladder/matmul_panels", &[INDEX, file!("ladder/matmul_panels.wgsl")]);
/// Rows and columns of the tile of [`MATMUL_PANELS`].
pub const PANEL_TILE: usize = 16;
/// Invocations a workgroup of [`MATMUL_NAIVE`].
pub const NAIVE_LANES: usize = 256;
pub(super) const ALL: &[&Kernel] = &[&MATMUL_NAIVE, &MATMUL_PANELS];
