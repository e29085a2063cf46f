//! How well the parameters are known.

mod bootstrap;
pub mod distribution;
mod information;
mod linear;
mod profile;
mod singular;

pub use bootstrap::{Bootstrap, MIN_POINTS, Resample, bootstrap};
pub(crate) use bootstrap::{enough, generator};
pub use information::Information;
pub use linear::Linear;
pub use profile::{Interval, profile_interval, profile_intervals};
pub use singular::Singular;
