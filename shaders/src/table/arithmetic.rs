//! Arithmetic with broadcasting.

use super::*;

const BINARY: File = file!("elementwise/binary.wgsl");

const fn binary(name: &'static str, files: &'static [File]) -> Kernel {
    Kernel { name, files, bindings: &[Read, Read, ReadWrite], variants: &[&[]] }
}

/// All numbers f32.
const FULL: File = file!("elementwise/full.wgsl");
const SUM: File = file!("elementwise/add.wgsl");

/// a + b
pub static ADD: Kernel = binary("arithmetic/add", &[INDEX, FULL, SUM, BINARY]);
/// a + b, b in f16
pub static ADD_HALF: Kernel =
    binary("arithmetic/add_half", &[INDEX, file!("elementwise/half_right.wgsl"), SUM, BINARY]);
/// a + b, all in f16
pub static ADD_HALVES: Kernel = binary("arithmetic/add_halves", &[INDEX, file!("elementwise/half.wgsl"), SUM, BINARY]);
/// a − b
pub static SUBTRACT: Kernel = binary("arithmetic/subtract", &[INDEX, FULL, file!("elementwise/subtract.wgsl"), BINARY]);
/// a · b
pub static MULTIPLY: Kernel = binary("arithmetic/multiply", &[INDEX, FULL, file!("elementwise/multiply.wgsl"), BINARY]);
/// a / b
pub static DIVIDE: Kernel = binary("arithmetic/divide", &[INDEX, FULL, file!("elementwise/divide.wgsl"), BINARY]);
pub(super) const ALL: &[&Kernel] = &[&ADD, &ADD_HALF, &ADD_HALVES, &SUBTRACT, &MULTIPLY, &DIVIDE];
