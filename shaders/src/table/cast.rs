//! Between types. An f16 tensor is read and written as words of two halves, so that no adapter needs `SHADER_F16`.

use super::*;

const HALF: File = file!("cast/half.wgsl");
const FROM_FLOAT: File = file!("cast/from_float.wgsl");
const FROM_INDEX: File = file!("cast/from_index.wgsl");
const TO_HALF: File = file!("cast/to_half.wgsl");

const fn kernel(name: &'static str, files: &'static [File]) -> Kernel {
    Kernel { name, files, bindings: &[Read, ReadWrite], variants: &[&[]] }
}

/// f32 → f16
pub static FLOAT_TO_HALF: Kernel = kernel("cast/float_to_half", &[INDEX, HALF, FROM_FLOAT, TO_HALF]);
/// u32 → f16
pub static INDEX_TO_HALF: Kernel = kernel("cast/index_to_half", &[INDEX, HALF, FROM_INDEX, TO_HALF]);
/// f16 → f32
pub static HALF_TO_FLOAT: Kernel = kernel("cast/half_to_float", &[INDEX, HALF, file!("cast/half_to_float.wgsl")]);
/// u32 → f32
pub static INDEX_TO_FLOAT: Kernel =
    kernel("cast/index_to_float", &[INDEX, FROM_INDEX, file!("cast/index_to_float.wgsl")]);
pub(super) const ALL: &[&Kernel] = &[&FLOAT_TO_HALF, &INDEX_TO_HALF, &HALF_TO_FLOAT, &INDEX_TO_FLOAT];
