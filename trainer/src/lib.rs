//! The trainer: everything of the program `gradus` that is not its command line.
//!
//! In reading order: [`configuration`] says what a run does, [`data`] turns text into batches,
//! [`schedule`] gives the learning rate, [`run_folder`] keeps what a run leaves behind,
//! [`progress`] and [`interrupt`] talk with the user, [`verbs`] are the words of the command
//! line, and [`error`] is what can go wrong.

pub mod configuration;
pub mod data;
pub mod device_choice;
pub mod duration;
pub mod error;
pub mod schedule;

pub use error::{Result, TrainerError};
