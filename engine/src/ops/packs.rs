//! How GPU kernels that work row by row divide a row: into packs of four elements where the length allows it, and those
//! among the invocations of a workgroup.

use gradus_shaders::{Constant, Kernel};

use crate::device::gpu::Workgroups;

/// Invocations a workgroup.
const INVOCATIONS: usize = 256;
/// The fewest invocations that share a row.
const LEAST_SPAN: usize = 8;

/// A row divided.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Packs {
    /// Packs in a row.
    pub count: usize,
    /// Whether a pack is four elements, not one.
    pub four: bool,
    /// Invocations that share a row: a power of two.
    pub span: usize,
}

impl Packs {
    /// For rows of `columns` elements.
    pub(crate) fn of(columns: usize) -> Self {
        let four = columns.is_multiple_of(4);
        let count = if four { columns / 4 } else { columns };
        Self { count, four, span: count.next_power_of_two().clamp(LEAST_SPAN, INVOCATIONS) }
    }

    /// The same row shared by fewer invocations, each with up to `most` packs: more bytes on their way for each, and fewer
    /// that must agree on a sum. No fewer than the 32 that fill a subgroup of most GPUs.
    pub(crate) fn held(self, most: usize) -> Self {
        const LEAST_SHARING: usize = 32;
        let fewer = self.count.div_ceil(most).next_power_of_two().clamp(LEAST_SHARING, INVOCATIONS);
        Self { span: self.span.min(fewer), ..self }
    }

    /// For rows read one element at a time, whatever their length.
    pub(crate) fn by_one(columns: usize) -> Self {
        Self { count: columns, four: false, span: columns.next_power_of_two().clamp(LEAST_SPAN, INVOCATIONS) }
    }

    /// The constants of the variant: invocations that share a row, and the packs that each holds.
    pub(crate) fn constants(self) -> [Constant; 2] {
        [("SPAN", self.span as u32), ("KEPT", self.count.div_ceil(self.span).max(1) as u32)]
    }

    /// Of a kernel's two versions, by single elements and by fours, the one that fits.
    pub(crate) fn pick(self, kernels: &'static [Kernel; 2]) -> &'static Kernel {
        &kernels[usize::from(self.four)]
    }

    /// Rows that a workgroup takes.
    pub(crate) fn rows_per_workgroup(self) -> usize {
        INVOCATIONS / self.span
    }

    /// Workgroups for so many rows; none for empty rows.
    pub(crate) fn workgroups(self, rows: usize) -> usize {
        if self.count == 0 { 0 } else { rows.div_ceil(self.rows_per_workgroup()) }
    }

    /// The grid where each invocation takes one of `count` packs.
    pub(crate) fn elementwise(count: usize) -> Workgroups {
        Workgroups::Linear(count.div_ceil(INVOCATIONS))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every pack of a row has an invocation that holds it, in as many turns as the kernel has.
    #[test]
    fn invocations_hold_the_whole_row() {
        for columns in [0, 1, 4, 31, 32, 33, 128, 129, 512, 516, 1024, 1028, 4096, 65_536, 100_001] {
            for packs in [Packs::of(columns), Packs::of(columns).held(2), Packs::of(columns).held(4)] {
                let [(_, span), (_, kept)] = packs.constants();
                assert!(span as usize * kept as usize >= packs.count, "{columns}: {packs:?}");
                assert!(span.is_power_of_two() && (8..=256).contains(&span), "{columns}: {packs:?}");
                assert_eq!(span as usize * packs.rows_per_workgroup(), INVOCATIONS);
            }
        }
        let constants = |columns, most| Packs::of(columns).held(most).constants().map(|(_, value)| value);
        assert_eq!((constants(1024, 4), constants(1024, 2), constants(512, 4)), ([64, 4], [128, 2], [32, 4]));
        assert_eq!((constants(128, 4), constants(16, 4), constants(8192, 4)), ([32, 1], [8, 1], [256, 8]));
    }
}
