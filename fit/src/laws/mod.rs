//! The laws, one file each, with formula and source.

pub mod loss_surface;
