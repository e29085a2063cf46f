//! The device that is timed, and what is said of it above the figures.

use std::time::SystemTime;

use gradus_engine::Device;
use gradus_engine::device::{Gpu, gpu};
use serde_json::{Value, json};

use crate::device_choice::DeviceChoice;
use crate::error::Result;
use crate::run_folder::date;

/// An open device.
pub struct Session {
    /// The device.
    pub device: Device,
    /// Why it is this one.
    why: String,
}

impl Session {
    /// Opens a device: with `timed`, one that notes how long each dispatch takes.
    ///
    /// # Errors
    /// No such device, or one without timestamps where they are asked for.
    pub fn open(choice: DeviceChoice, timed: bool) -> Result<Self> {
        let options = gpu::Options { time_dispatches: timed, ..gpu::Options::from_environment() };
        let (device, why) = choice.open(options)?;
        Ok(Self { device, why })
    }

    /// The GPU, if it is one.
    pub fn gpu(&self) -> Option<&Gpu> {
        match &self.device {
            Device::Gpu(gpu) => Some(gpu),
            Device::Cpu(_) => None,
        }
    }

    /// Keeps the kernels used so far for the next start; one without them is slower and else the same.
    pub fn keep_kernels(&self) {
        let _ = self.gpu().map(Gpu::keep_kernels);
    }

    /// Whether a processor computes: figures then say nothing of a GPU.
    pub fn is_processor(&self) -> bool {
        self.gpu().is_none_or(|gpu| gpu.report().software)
    }

    fn note(&self) -> Option<&'static str> {
        match self.gpu() {
            None => Some("these are figures of a processor; they say nothing of a GPU"),
            Some(gpu) if gpu.report().software => {
                Some("this adapter is software that runs on the processor; its figures say nothing of a GPU")
            }
            Some(_) => None,
        }
    }

    /// The lines above a table: device, date, what to think of the figures, and the caller's own remark.
    pub fn head(&self, remark: &str) -> String {
        let commit = COMMIT.map(|commit| format!(", commit {commit}")).unwrap_or_default();
        let lines = [
            format!("device   {} ({})", self.device.description(), self.why),
            format!("date     {}{commit}", date(SystemTime::now())),
        ];
        let notes = self.note().into_iter().chain(Some(remark).filter(|remark| !remark.is_empty()));
        lines.into_iter().chain(notes.map(|note| format!("note     {note}"))).collect::<Vec<_>>().join("\n")
    }

    /// Everything as one object for other programs.
    pub fn json(&self, bench: &str, rows: Vec<Value>) -> Value {
        let mut object = json!({
            "bench": bench,
            "device": self.device.name(),
            "driver": self.gpu().map(|gpu| &gpu.report().driver),
            "date": date(SystemTime::now()),
            "rows": rows,
        });
        let optional = [("commit", COMMIT), ("note", self.note())];
        for (key, value) in optional.into_iter().filter_map(|(key, value)| Some((key, value?))) {
            object[key] = json!(value);
        }
        object
    }
}

/// The commit that the program was built from, where whoever built it said so in the environment.
const COMMIT: Option<&str> = option_env!("GRADUS_COMMIT");
