//! Levenberg-Marquardt and the scaling laws, in `f64`, without a GPU.

pub mod counts;
mod error;
pub mod expression;
pub mod fit;
pub mod laws;
pub mod multistart;
pub mod number;
pub mod plot;
pub mod predict;
pub mod problem;
pub mod report;
pub mod solver;
pub mod statistics;
pub mod table;

pub use error::FitError;
pub use fit::{Fit, FitResult, Parameter, Transform};
pub use number::{Dual, Real};
pub use problem::{Automatic, DifferenceOrder, FiniteDifferences, Model, Problem, WithJacobian};
pub use solver::{Bounds, Loss, Options, Outcome, RobustStep, Solution, minimize, minimize_from};
