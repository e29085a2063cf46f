//! How long work will take, and how it is cut so that no driver's watchdog takes it for a hang.
//!
//! Drivers reset a device that does not answer for some seconds (2 on Windows). So no dispatch is planned to take longer
//! than [`LONGEST_DISPATCH`] and no submission longer than [`LONGEST_SUBMISSION`]. Plans come from what an operation is
//! counted to do and from the rates that the device has been seen to reach; cautious ones at first. A dispatch that would
//! take too long is cut into ranges of its workgroups. A software adapter has no watchdog and needs none of this.

/// A dispatch is planned to take no longer than this, in seconds.
pub const LONGEST_DISPATCH: f64 = 0.1;
/// A submission is planned to take no longer than this, in seconds.
pub const LONGEST_SUBMISSION: f64 = 0.4;

/// What a dispatch is counted to do.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Cost {
    /// Floating-point operations.
    pub flops: f64,
    /// Bytes read and written.
    pub bytes: f64,
}

/// The rates by which work is planned, in operations and bytes a second; raised by what submissions are seen to reach.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Rates {
    /// Floating-point operations a second.
    pub flops: f64,
    /// Bytes a second.
    pub bytes: f64,
}

impl Default for Rates {
    /// A slow integrated GPU.
    fn default() -> Self {
        Self { flops: 100e9, bytes: 20e9 }
    }
}

impl Rates {
    /// How long work of this cost is planned to take.
    pub fn seconds(&self, cost: Cost) -> f64 {
        (cost.flops / self.flops).max(cost.bytes / self.bytes)
    }
}

/// The ranges of workgroups, first and count, that a dispatch of `count` workgroups is cut into so that none is planned
/// longer than [`LONGEST_DISPATCH`]. A range over `most`, which will be folded over two dimensions, is a multiple of it, so
/// that folding adds no workgroups that belong to the next range.
pub fn ranges(count: usize, seconds: f64, most: usize) -> impl Iterator<Item = (usize, usize)> {
    let parts = (seconds / LONGEST_DISPATCH).ceil().clamp(1.0, count.max(1) as f64) as usize;
    // Rounded down: a range must not be planned longer.
    let mut each = (count / parts).max(1);
    if each > most && parts > 1 {
        each = each / most * most;
    }
    (0..count).step_by(each).map(move |first| (first, each.min(count - first)))
}

/// The grid for `count` workgroups in a row, at most `most` a dimension: folded over x and y where there are more, in rows of
/// equal length, so that few are left over. `None`
/// for more than `most` × `most`, or more than 32-bit numbers count.
pub fn fold(count: usize, most: usize) -> Option<[u32; 3]> {
    let down = count.div_ceil(most.max(1)).max(1);
    let across = count.div_ceil(down);
    // The last row may reach beyond the count; its numbers must not wrap round.
    let reached = across.checked_mul(down).and_then(|reached| u32::try_from(reached).ok());
    (down <= most && reached.is_some()).then_some([across as u32, down as u32, 1])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_cover_everything_once_and_take_no_longer_than_allowed() {
        for count in [0, 1, 2, 7, 100, 65_535, 65_536, 200_000, 1 << 26] {
            for seconds in [0.0, 0.05, 0.1, 0.1001, 0.35, 2.0, 1e4] {
                for most in [7, 65_535] {
                    let mut next = 0;
                    let parts: Vec<_> = ranges(count, seconds, most).take(2_000_000).collect();
                    for &(first, length) in &parts {
                        assert_eq!(first, next);
                        assert!(length > 0);
                        next += length;
                        let planned = seconds * length as f64 / count as f64;
                        assert!(planned <= LONGEST_DISPATCH * 1.0001 || length == 1, "{count} {seconds} {length}");
                        let inner = first + length < count;
                        assert!(!inner || length <= most || length.is_multiple_of(most), "{count} {length} {most}");
                    }
                    assert!(next == count || parts.len() == 2_000_000);
                    assert!(seconds > LONGEST_DISPATCH || parts.len() <= 1);
                }
            }
        }
    }

    #[test]
    fn many_workgroups_are_folded_or_refused() {
        assert_eq!(fold(65_535, 65_535).unwrap(), [65_535, 1, 1]);
        assert_eq!(fold(65_536, 65_535).unwrap(), [32_768, 2, 1]);
        assert_eq!(fold(65_537, 65_535).unwrap(), [32_769, 2, 1]);
        assert_eq!(fold(0, 65_535).unwrap(), [0, 1, 1]);
        // Ranges of several rows are whole rows, so that none reaches into the next.
        assert_eq!(fold(3 * 65_535, 65_535).unwrap(), [65_535, 3, 1]);
        assert_eq!(fold(65_535 * 65_535, 65_535).unwrap(), [65_535, 65_535, 1]);
        assert_eq!(fold(1 << 32, 65_535), None);
        assert_eq!(fold(50, 7), None);
    }

    #[test]
    fn the_slower_of_the_two_rates_decides() {
        let rates = Rates { flops: 10.0, bytes: 2.0 };
        assert_eq!(rates.seconds(Cost { flops: 5.0, bytes: 1.5 }), 0.75);
        assert_eq!(rates.seconds(Cost { flops: 50.0, bytes: 1.5 }), 5.0);
    }
}
