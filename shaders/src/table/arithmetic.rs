//! Arithmetic with broadcasting. Kernels in pairs: element by element with broadcasting, and by fours for equal shapes.

use super::*;

const BINARY: File = file!("elementwise/binary.wgsl");
const PACKS: File = file!("elementwise/packs.wgsl");

const fn kernel(name: &'static str, files: &'static [File]) -> Kernel {
    Kernel { name, files, bindings: &[Read, Read, ReadWrite], variants: &[&[]] }
}

/// All numbers f32.
const FULL: File = file!("elementwise/full.wgsl");
/// The second input f16.
const HALF_RIGHT: File = file!("elementwise/half_right.wgsl");
/// All numbers f16.
const HALF: File = file!("elementwise/half.wgsl");
const SUM: File = file!("elementwise/add.wgsl");
const DIFFERENCE: File = file!("elementwise/subtract.wgsl");
const PRODUCT: File = file!("elementwise/multiply.wgsl");
const QUOTIENT: File = file!("elementwise/divide.wgsl");

/// a + b
pub static ADD: [Kernel; 2] =
    [kernel("arithmetic/add_1", &[INDEX, FULL, SUM, BINARY]), kernel("arithmetic/add_4", &[INDEX, FULL, SUM, PACKS])];
/// a + b, b in f16
pub static ADD_HALF: [Kernel; 2] = [
    kernel("arithmetic/add_half_1", &[INDEX, HALF_RIGHT, SUM, BINARY]),
    kernel("arithmetic/add_half_4", &[INDEX, HALF_RIGHT, SUM, PACKS]),
];
/// a + b, all in f16
pub static ADD_HALVES: [Kernel; 2] = [
    kernel("arithmetic/add_halves_1", &[INDEX, HALF, SUM, BINARY]),
    kernel("arithmetic/add_halves_4", &[INDEX, HALF, SUM, PACKS]),
];
/// a − b
pub static SUBTRACT: [Kernel; 2] = [
    kernel("arithmetic/subtract_1", &[INDEX, FULL, DIFFERENCE, BINARY]),
    kernel("arithmetic/subtract_4", &[INDEX, FULL, DIFFERENCE, PACKS]),
];
/// a · b
pub static MULTIPLY: [Kernel; 2] = [
    kernel("arithmetic/multiply_1", &[INDEX, FULL, PRODUCT, BINARY]),
    kernel("arithmetic/multiply_4", &[INDEX, FULL, PRODUCT, PACKS]),
];
/// a / b
pub static DIVIDE: [Kernel; 2] = [
    kernel("arithmetic/divide_1", &[INDEX, FULL, QUOTIENT, BINARY]),
    kernel("arithmetic/divide_4", &[INDEX, FULL, QUOTIENT, PACKS]),
];
pub(super) const ALL: &[&Kernel] = &[
    &ADD[0],
    &ADD[1],
    &ADD_HALF[0],
    &ADD_HALF[1],
    &ADD_HALVES[0],
    &ADD_HALVES[1],
    &SUBTRACT[0],
    &SUBTRACT[1],
    &MULTIPLY[0],
    &MULTIPLY[1],
    &DIVIDE[0],
    &DIVIDE[1],
];
