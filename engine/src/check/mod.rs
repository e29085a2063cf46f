//! Checks of operations, ours and users': against their definition, their gradients against finite differences.

mod case;
mod table;

pub use case::{Case, Draw, Input};
pub use table::{Row, TABLE};
