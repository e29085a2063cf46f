//! Which device the user asked for: `auto`, `cpu`, `gpu` or `gpu:N`.

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::OnceLock;

use gradus_engine::Device;
use gradus_engine::device::gpu;

use crate::error::Result;

/// The value of `--device` and of the key `device` in `[train]`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum DeviceChoice {
    /// The first GPU that is not a software adapter, else the CPU.
    #[default]
    Auto,
    /// The CPU.
    Cpu,
    /// A GPU: the adapter of this number as `gradus devices` lists them, or the best one. A
    /// software adapter may be chosen.
    Gpu(Option<usize>),
}

impl DeviceChoice {
    /// Opens the device, with a [`kernel_cache`], and says why it is this one.
    ///
    /// # Errors
    /// If there is no such GPU or it cannot be opened.
    pub fn open(self, options: gpu::Options) -> Result<(Device, String)> {
        let options = gpu::Options { kernel_cache: kernel_cache(), ..options };
        let open = |index| gpu::adapter::open(index, options).map(Device::Gpu);
        match self {
            Self::Auto => Ok(Device::auto_with(options)),
            Self::Cpu => Ok((Device::cpu(), "asked for with --device cpu".into())),
            // Adapters are listed from the best to software ones.
            Self::Gpu(None) => Ok((open(0)?, "the best adapter, asked for with --device gpu".into())),
            Self::Gpu(Some(index)) => Ok((open(index)?, format!("asked for with --device gpu:{index}"))),
        }
    }

    /// Opens the device and, where no number was given, all the machine's other cards of the same name, one after the other.
    ///
    /// # Errors
    /// As [`Self::open`].
    pub fn open_all(self, options: gpu::Options) -> Result<Vec<(Device, String)>> {
        let (first, why) = self.open(options)?;
        let (Device::Gpu(gpu), Self::Auto | Self::Gpu(None)) = (&first, self) else { return Ok(vec![(first, why)]) };
        let peers = gpu::adapter::peers(gpu.report());
        let mut devices = vec![(first, why)];
        for peer in peers {
            let (device, _) = Self::Gpu(Some(peer)).open(options)?;
            devices.push((device, "of the same name as the first".into()));
        }
        Ok(devices)
    }
}

/// Where compiled kernels are kept from one start to the next: the folder that the environment variable
/// `GRADUS_KERNEL_CACHE` names, nowhere if that is `0` or empty, else a folder `kernels` in the user's cache folder for gradus.
pub fn kernel_cache() -> Option<&'static Path> {
    static FOLDER: OnceLock<Option<PathBuf>> = OnceLock::new();
    let find = || match std::env::var_os("GRADUS_KERNEL_CACHE") {
        Some(off) if off.is_empty() || off == "0" => None,
        Some(folder) => Some(folder.into()),
        None => directories::ProjectDirs::from("", "", "gradus").map(|folders| folders.cache_dir().join("kernels")),
    };
    FOLDER.get_or_init(find).as_deref()
}

impl FromStr for DeviceChoice {
    type Err = String;

    fn from_str(text: &str) -> std::result::Result<Self, String> {
        match text {
            "auto" => Ok(Self::Auto),
            "cpu" => Ok(Self::Cpu),
            "gpu" => Ok(Self::Gpu(None)),
            _ => match text.strip_prefix("gpu:").map(str::parse) {
                Some(Ok(index)) => Ok(Self::Gpu(Some(index))),
                Some(Err(_)) => Err(format!("`{text}` has no number after the colon; `gradus devices` lists them")),
                None => Err(format!("`{text}` is not a device; give auto, cpu, gpu or gpu:N")),
            },
        }
    }
}

impl fmt::Display for DeviceChoice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Auto => f.write_str("auto"),
            Self::Cpu => f.write_str("cpu"),
            Self::Gpu(None) => f.write_str("gpu"),
            Self::Gpu(Some(index)) => write!(f, "gpu:{index}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_printed_is_read() {
        for text in ["auto", "cpu", "gpu", "gpu:0", "gpu:12"] {
            assert_eq!(text.parse::<DeviceChoice>().unwrap().to_string(), text);
        }
        for text in ["", "GPU0", "gpu:", "gpu:-1", "gpu:x", "cuda"] {
            assert!(text.parse::<DeviceChoice>().is_err(), "{text}");
        }
    }
}
