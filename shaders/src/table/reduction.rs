//! Sums, means and maxima over the rows or the columns of a view [outer, n, inner]. Kernels in pairs read by single
//! elements and by fours.

use super::*;

const SUM_ROWS_FILE: File = file!("reduction/sum_rows.wgsl");
const COLUMNS_FILE: File = file!("reduction/columns.wgsl");
const CANDIDATE_FILE: File = file!("reduction/candidate.wgsl");
const SPREAD_FILE: File = file!("reduction/spread.wgsl");
const SOURCE_PACK: File = file!("reduction/source_pack.wgsl");
const SOURCE_ELEMENT: File = file!("reduction/source_element.wgsl");

const fn sum_rows(name: &'static str, files: &'static [File]) -> Kernel {
    Kernel { name, files, bindings: &[Read, ReadWrite], variants: &[&[("SPAN", 8)], &[("SPAN", 256)]] }
}

const fn spread(name: &'static str, files: &'static [File]) -> Kernel {
    Kernel { name, files, bindings: &[Read, ReadWrite], variants: &[&[]] }
}

/// The sum of each segment of each row, times a factor.
pub static SUM_ROWS: [Kernel; 2] = [
    sum_rows("reduction/sum_rows_1", &[INDEX, FLOAT, PACK_1, ROW_SUMS, SUM_ROWS_FILE]),
    sum_rows("reduction/sum_rows_4", &[INDEX, FLOAT, PACK_4, ROW_SUMS, SUM_ROWS_FILE]),
];
/// The sum of each segment of each column, times a factor.
pub static SUM_COLUMNS: Kernel = Kernel {
    name: "reduction/sum_columns",
    files: &[INDEX, COLUMNS_FILE, file!("reduction/sum_columns.wgsl")],
    bindings: &[Read, ReadWrite],
    variants: &[&[("COLUMNS", 2)], &[("COLUMNS", 32)], &[("COLUMNS", 256)]],
};
/// The largest of each segment of each row, and its place.
pub static MAX_ROWS: Kernel = Kernel {
    name: "reduction/max_rows",
    files: &[INDEX, CANDIDATE_FILE, file!("reduction/max_rows.wgsl")],
    bindings: &[Read, Read, ReadWrite, ReadWrite],
    variants: &[&[("SPAN", 8), ("FIRST", 1)], &[("SPAN", 256), ("FIRST", 1)], &[("SPAN", 256), ("FIRST", 0)]],
};
/// The largest of each segment of each column, and its place.
pub static MAX_COLUMNS: Kernel = Kernel {
    name: "reduction/max_columns",
    files: &[INDEX, COLUMNS_FILE, CANDIDATE_FILE, file!("reduction/max_columns.wgsl")],
    bindings: &[Read, Read, ReadWrite, ReadWrite],
    variants: &[&[("COLUMNS", 2), ("FIRST", 1)], &[("COLUMNS", 32), ("FIRST", 0)], &[("COLUMNS", 256), ("FIRST", 1)]],
};
/// The gradient of a sum: by single elements, and by fours along the inner dimension.
pub static SPREAD: [Kernel; 2] = [
    spread("reduction/spread_1", &[INDEX, FLOAT, PACK_1, SOURCE_PACK, SPREAD_FILE]),
    spread("reduction/spread_4", &[INDEX, FLOAT, PACK_4, SOURCE_PACK, SPREAD_FILE]),
];
/// The gradient of a sum over rows, by fours.
pub static SPREAD_ROWS: Kernel = spread("reduction/spread_rows", &[INDEX, FLOAT, PACK_4, SOURCE_ELEMENT, SPREAD_FILE]);
/// Zeros.
pub static ZERO: Kernel = Kernel {
    name: "reduction/zero",
    files: &[INDEX, file!("reduction/zero.wgsl")],
    bindings: &[ReadWrite],
    variants: &[&[]],
};
/// The gradient of a maximum, among zeros.
pub static SCATTER: Kernel = Kernel {
    name: "reduction/scatter",
    files: &[INDEX, file!("reduction/scatter.wgsl")],
    bindings: &[Read, Read, ReadWrite],
    variants: &[&[]],
};
pub(super) const ALL: &[&Kernel] = &[
    &SUM_ROWS[0],
    &SUM_ROWS[1],
    &SUM_COLUMNS,
    &MAX_ROWS,
    &MAX_COLUMNS,
    &SPREAD[0],
    &SPREAD[1],
    &SPREAD_ROWS,
    &ZERO,
    &SCATTER,
];
