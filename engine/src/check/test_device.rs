//! The one GPU that the tests of this binary share: some drivers do not bear devices being made and dropped in parallel.

use std::sync::OnceLock;

use crate::Device;
use crate::device::gpu::{Options, adapter};

/// The first adapter, software or not; `None`, with a printed reason, where there is none.
///
/// # Panics
/// Where there is none and `GRADUS_REQUIRE_GPU=1`.
pub fn gpu() -> Option<Device> {
    static GPU: OnceLock<Option<Device>> = OnceLock::new();
    GPU.get_or_init(|| match super::gpu() {
        Ok(gpu) => Some(gpu),
        Err(error) => {
            assert!(std::env::var("GRADUS_REQUIRE_GPU").as_deref() != Ok("1"), "GRADUS_REQUIRE_GPU=1, but {error}");
            println!("skipped: {error}");
            None
        }
    })
    .clone()
}

/// A device of the caller's own on the same adapter, for tests that must not disturb others. Call [`gpu`] first.
///
/// # Panics
/// If it cannot be opened.
pub fn own(options: Options) -> Device {
    Device::Gpu(adapter::open(0, options).unwrap())
}
