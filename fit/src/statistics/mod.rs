//! How well the parameters are known.

pub mod distribution;
mod information;
mod linear;
mod singular;

pub use information::Information;
pub use linear::Linear;
pub use singular::Singular;
