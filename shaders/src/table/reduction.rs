//! Sums and means. Kernels in pairs read by single elements and by fours.

use super::*;

const SUM_FILE: File = file!("reduction/sum.wgsl");
const SPREAD_FILE: File = file!("reduction/spread.wgsl");

const fn sum(name: &'static str, files: &'static [File]) -> Kernel {
    Kernel { name, files, bindings: &[Read, ReadWrite], variants: &[&[("SPAN", 8)], &[("SPAN", 256)]] }
}

const fn spread(name: &'static str, files: &'static [File]) -> Kernel {
    Kernel { name, files, bindings: &[Read, ReadWrite], variants: &[&[]] }
}

/// The sum of each row, times a factor.
pub static SUM: [Kernel; 2] = [
    sum("reduction/sum_1", &[INDEX, FLOAT, PACK_1, ROW_SUMS, SUM_FILE]),
    sum("reduction/sum_4", &[INDEX, FLOAT, PACK_4, ROW_SUMS, SUM_FILE]),
];
/// Its gradient.
pub static SPREAD: [Kernel; 2] = [
    spread("reduction/spread_1", &[INDEX, FLOAT, PACK_1, SPREAD_FILE]),
    spread("reduction/spread_4", &[INDEX, FLOAT, PACK_4, SPREAD_FILE]),
];
pub(super) const ALL: &[&Kernel] = &[&SUM[0], &SUM[1], &SPREAD[0], &SPREAD[1]];
