//! How well the parameters are known.

mod information;
mod singular;

pub use information::Information;
pub use singular::Singular;
