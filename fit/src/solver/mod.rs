//! Levenberg-Marquardt with a scaled trust region, after Moré.

pub mod loss;
mod minimize;
mod newton;
mod options;
mod polish;
mod qr;
mod state;
mod symmetric;
mod trust_region;
pub(crate) mod vector;

pub use loss::{Loss, RobustStep};
pub use minimize::{Bounds, Solution, minimize, minimize_from};
pub use newton::newton;
pub use options::{Options, Outcome};
pub(crate) use qr::PivotedQr;
