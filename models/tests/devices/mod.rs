//! What the tests of whole models run on.

use gradus_engine::Device;
use gradus_engine::device::gpu::{Options, adapter};

/// The devices to test: the CPU, and the first adapter if there is one.
pub fn devices() -> Vec<Device> {
    let mut devices = vec![Device::cpu()];
    match adapter::open(0, Options::from_environment()) {
        Ok(gpu) => devices.push(Device::Gpu(gpu)),
        Err(error) => {
            assert!(std::env::var("GRADUS_REQUIRE_GPU").as_deref() != Ok("1"), "GRADUS_REQUIRE_GPU=1, but {error}");
            println!("skipped on the GPU: {error}");
        }
    }
    devices
}
