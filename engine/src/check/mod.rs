//! Checks of operations, ours and users': outputs against their definition, gradients against finite differences of it,
//! and the checks themselves against planted mistakes.
//!
//! [`TABLE`] lists our operations, [`HALF`] those with f16 tensors, [`FORWARD_ONLY`] kernels that have no gradient;
//! [`check_row`] checks a row on a device. [`operation`] does everything for one operation, for instance a user's own.

mod case;
mod compare;
mod evaluate;
mod forward_only;
mod graph;
mod plant;
pub mod strategies;
mod table;
#[cfg(test)]
pub(crate) mod test_device;
#[cfg(test)]
mod tests;
#[cfg(test)]
pub(crate) mod vectors;
mod verdict;

pub use case::{Case, Draw, Input};
pub use compare::{Worst, measure, worst};
pub use evaluate::Outcome;
pub use plant::{Direction, Mistake};
pub use table::{FORWARD_ONLY, HALF, Row, TABLE};
pub use verdict::{
    FINITE_DIFFERENCE_BOUND, Failure, Measured, Verdict, check_case, check_row, check_sized, half_missing,
    missed_mistakes, operation,
};

use crate::device::gpu::{Options, adapter};
use crate::{Device, Result};

/// The first adapter, a software one if there is no other, opened with a guard band behind every tensor.
///
/// # Errors
/// [`crate::Error::NoAdapter`] if there is none.
pub fn gpu() -> Result<Device> {
    adapter::open(0, Options { guard_bands: true, ..Options::from_environment() }).map(Device::Gpu)
}
