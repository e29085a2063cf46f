//! Checks of operations, ours and users': against their definition, their gradients against finite differences.

mod case;
mod table;
#[cfg(test)]
pub(crate) mod test_device;

pub use case::{Case, Draw, Input};
pub use table::{Row, TABLE};
