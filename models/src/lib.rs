//! models

pub mod configuration;
