//! The trainer: everything of the program `gradus`.
//!
//! In reading order: [`verbs`] are the words of the command line, [`configuration`] says what a
//! run does, [`data`] turns text into batches, [`schedule`] gives the learning rate,
//! [`training`] is the loop, [`run_folder`] keeps what a run leaves behind, [`progress`] and
//! [`interrupt`] talk with the user, [`sweep`] makes the runs of a scaling study, [`plotting`] draws runs, [`report`] writes what studies found, [`inference`], [`counting`], [`tokenizing`],
//! [`device_report`], [`checking`], [`bench`] and [`timing`] are the other verbs, and [`error`] is what can go wrong.

pub mod bench;
pub mod checking;
pub mod configuration;
pub mod counting;
pub mod data;
pub mod device_choice;
pub mod device_report;
pub mod duration;
pub mod error;
pub mod figures;
pub mod inference;
pub mod interrupt;
pub mod model_source;
pub mod picture;
pub mod plotting;
pub mod progress;
pub mod report;
pub mod run_folder;
pub mod schedule;
pub mod sealed_json;
pub mod sweep;
pub mod text_stream;
pub mod timing;
pub mod tokenizing;
pub mod training;
pub mod verbs;

pub use error::{Result, TrainerError};
