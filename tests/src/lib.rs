//! What the whole-system tests are made of: checks of every kernel that need no GPU.

pub mod portability;
