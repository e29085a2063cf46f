//! Dimensions in another order.

use super::*;

const PLAIN_FILE: File = file!("permute/plain.wgsl");

const fn kernel(name: &'static str, files: &'static [File]) -> Kernel {
    Kernel { name, files, bindings: &[Read, ReadWrite], variants: &[&[]] }
}

/// Tiles through workgroup memory, where the last dimension moves.
pub static TILES: Kernel = kernel("permute/tiles", &[INDEX, file!("permute/tiles.wgsl")]);
/// Element by element, by ones and by fours.
pub static PLAIN: [Kernel; 2] = [
    kernel("permute/plain_1", &[INDEX, file!("permute/words_1.wgsl"), PLAIN_FILE]),
    kernel("permute/plain_4", &[INDEX, file!("permute/words_4.wgsl"), PLAIN_FILE]),
];
pub(super) const ALL: &[&Kernel] = &[&TILES, &PLAIN[0], &PLAIN[1]];
