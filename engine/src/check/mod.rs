//! Checks of operations, ours and users': outputs against their definition, gradients against finite differences of it,
//! and the checks themselves against planted mistakes.
//!
//! [`TABLE`] lists our operations; [`check_row`] checks a row on a device. [`operation`] does everything for one operation,
//! for instance a user's own.

mod case;
mod compare;
mod evaluate;
mod plant;
mod table;
#[cfg(test)]
pub(crate) mod test_device;
#[cfg(test)]
mod tests;
#[cfg(test)]
pub(crate) mod vector_case;
#[cfg(test)]
pub(crate) mod vectors;
mod verdict;

pub use case::{Case, Draw, Input};
pub use compare::worst;
pub use evaluate::Outcome;
pub use plant::Mistake;
pub use table::{Row, TABLE};
pub use verdict::{FINITE_DIFFERENCE_BOUND, Measured, Verdict, check_case, check_row, missed_mistakes, operation};
