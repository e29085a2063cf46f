//! How a forward pass is computed: in which precision, and what the tape keeps of it.

use gradus_engine::{Last, Precision, Result, Tape, Var};

/// The choices of a forward pass, none of which changes what a block is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pass {
    /// Half is mixed precision.
    pub precision: Precision,
    /// Whether a tape keeps of each block only its input, and the block is computed again on the way back: the same numbers
    /// with less memory and about a third more time.
    pub checkpointing: bool,
}

impl Pass {
    /// In f32, with all that the backward reads kept.
    pub const PLAIN: Self = Self { precision: Precision::Full, checkpointing: false };

    /// Whether block `place` of `blocks` is computed again. The way back begins with the last, when all of it would still
    /// be there: without it nothing more is held at once.
    pub(crate) fn recomputes(self, place: usize, blocks: usize) -> bool {
        self.checkpointing && place + 1 < blocks
    }
}

/// Runs a block of which the tape keeps the input `x` and the weights.
pub(crate) fn recomputed(
    weights: &[Var],
    x: &Var,
    block: impl Fn(&[Var], &Var) -> Result<Last> + 'static,
) -> Result<Var> {
    // The input is first among the tape's inputs, the weights follow.
    let inputs: Vec<&Var> = [x].into_iter().chain(weights).collect();
    Tape::checkpoint(&inputs, move |inputs| block(&inputs[1..], &inputs[0]))
}
