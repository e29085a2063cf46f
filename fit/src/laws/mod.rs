//! The laws, one file each, with formula and source.

pub mod context;
pub mod crossing;
pub mod isoflop;
pub mod loss_surface;
pub mod minimum;
pub mod optimum_law;
pub mod overtraining;
pub mod pareto;
pub mod power_law;
pub mod timing;
