//! How the tests of this folder open a GPU.

use gradus_engine::Device;
use gradus_engine::device::gpu::{Options, adapter};

/// The first adapter, a software one if there is no other, opened so; `None`, with a printed reason, where there is none.
///
/// # Panics
/// Where there is none and `GRADUS_REQUIRE_GPU=1`.
pub fn open(options: Options) -> Option<Device> {
    match adapter::open(0, options) {
        Ok(gpu) => Some(Device::Gpu(gpu)),
        Err(error) => {
            assert!(std::env::var("GRADUS_REQUIRE_GPU").as_deref() != Ok("1"), "GRADUS_REQUIRE_GPU=1, but {error}");
            println!("skipped: {error}");
            None
        }
    }
}
