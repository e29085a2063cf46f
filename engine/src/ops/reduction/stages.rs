//! How axes fall into reductions of one dimension: adjacent ones are one.

/// A view [outer, n, inner] of which n is reduced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Stage {
    pub outer: usize,
    pub n: usize,
    pub inner: usize,
}

impl Stage {
    pub fn outputs(self) -> usize {
        self.outer * self.inner
    }
}

/// The reductions that one after the other reduce `axes` of `sizes`, the innermost first, each on the result of the one
/// before. Dimensions of size 1 between two axes do not keep them apart.
pub(super) fn stages(sizes: &[usize], axes: &[usize]) -> Vec<Stage> {
    let mut sizes = sizes.to_vec();
    let mut stages = Vec::new();
    let mut end = sizes.len();
    while let Some(last) = (0..end).rev().find(|axis| axes.contains(axis) && sizes[*axis] != 1) {
        let kept = (0..last).rev().find(|axis| !axes.contains(axis) && sizes[*axis] != 1);
        let first = kept.map_or(0, |kept| kept + 1);
        stages.push(Stage {
            outer: sizes[..first].iter().product(),
            n: sizes[first..=last].iter().product(),
            inner: sizes[last + 1..].iter().product(),
        });
        sizes[first..=last].fill(1);
        end = first;
    }
    stages
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn adjacent_axes_are_one_stage() {
        let of = |sizes: &[usize], axes: &[usize]| -> Vec<[usize; 3]> {
            stages(sizes, axes).iter().map(|stage| [stage.outer, stage.n, stage.inner]).collect()
        };
        assert_eq!(of(&[2, 3, 5], &[2]), [[6, 5, 1]]);
        assert_eq!(of(&[2, 3, 5], &[1, 0]), [[1, 6, 5]]);
        assert_eq!(of(&[2, 3, 5, 7, 4], &[0, 2, 4]), [[210, 4, 1], [6, 5, 7], [1, 2, 21]]);
        assert_eq!(of(&[2, 1, 5], &[0, 2]), [[1, 10, 1]]);
        assert_eq!(of(&[2, 1, 5], &[1]), [[0; 3]; 0]);
        assert_eq!(of(&[2, 0, 5], &[1]), [[2, 0, 5]]);
    }
}
