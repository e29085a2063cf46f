//! Which adapters there are, and opening one.

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use super::faults::Faults;
use super::heaps;
use super::kernel::Compiler;
use super::plan::Rates;
use super::record::Recorder;
use super::store::{Found, Store};
use super::submit::Submitter;
use super::timing::Timings;
use super::{Gpu, Shared, lock};
use crate::error::{Error, Result};

/// How a device is opened.
#[derive(Debug, Clone, Copy, Default)]
pub struct Options {
    /// Compile our kernels with wgpu's run-time checks too (users' kernels always have them). Slow; for tests.
    pub checked_kernels: bool,
    /// Leave the matrix units alone where there are any. For comparisons.
    pub plain_kernels: bool,
    /// Put a band of NaN behind every tensor, inside what is bound, so that [`Gpu::verify_guards`] finds stray writes.
    pub guard_bands: bool,
    /// Ask for WebGPU's default limits and no features, as the least device has.
    pub default_limits: bool,
    /// Note how long each dispatch takes, see [`Gpu::take_timings`]. Slow: the host waits for each submission.
    pub time_dispatches: bool,
    /// The folder in which kernels, compiled, are kept for the next start; it is made if need be. Nobody else may be able to
    /// write there: drivers trust what they find. `None`: nothing is kept.
    pub kernel_cache: Option<&'static Path>,
    /// Plan with these rates, on software adapters too, and never raise them. For tests of how work is cut.
    pub rates: Option<Rates>,
    /// Pretend that the device allows no more workgroups a dimension than this. For tests of how they are folded.
    pub most_workgroups: Option<u32>,
    /// Pretend that what is bound of a buffer may be no larger than this, in bytes, nor a buffer but for the fault record.
    /// For tests of what is refused.
    pub most_bytes: Option<u64>,
}

impl Options {
    /// The options that the environment asks for: `GRADUS_CHECKED_KERNELS=1`, `GRADUS_DEFAULT_LIMITS=1`,
    /// `GRADUS_PLAIN_KERNELS=1`.
    pub fn from_environment() -> Self {
        let set = |name: &str| std::env::var_os(name).is_some_and(|value| !value.is_empty() && value != "0");
        Self {
            checked_kernels: set("GRADUS_CHECKED_KERNELS"),
            plain_kernels: set("GRADUS_PLAIN_KERNELS"),
            guard_bands: false,
            default_limits: set("GRADUS_DEFAULT_LIMITS"),
            ..Self::default()
        }
    }
}

/// A kind of tensor-core product that the adapter offers, as wgpu reports it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cooperative {
    /// Rows, columns and depth of one product.
    pub size: [u32; 3],
    /// Whether the operands are f16.
    pub f16_operands: bool,
    /// Whether the sum is f32.
    pub f32_result: bool,
}

impl AdapterReport {
    /// Whether kernels may use the matrix units: products of 16 x 16 x 16 of f16 with sums of f32, in subgroups that all
    /// have 32 invocations, with 32 KiB of workgroup memory.
    pub fn has_matrix_units(&self) -> bool {
        const WORKGROUP_MEMORY: u32 = 32 << 10;

        let fits = |one: &Cooperative| one.size == [16; 3] && one.f16_operands && one.f32_result;
        self.shader_f16
            && self.subgroups == Some((32, 32))
            && self.limits.max_compute_workgroup_storage_size >= WORKGROUP_MEMORY
            && self.cooperative.iter().any(fits)
    }
}

/// What an adapter is and offers.
#[derive(Debug, Clone)]
pub struct AdapterReport {
    /// Its place in the list, as in `gpu:N`.
    pub index: usize,
    /// The product's name.
    pub name: String,
    /// Driver name and version.
    pub driver: String,
    /// `Vulkan`, `Metal` or `Dx12`.
    pub backend: String,
    /// Discrete, integrated, virtual or software.
    pub kind: &'static str,
    /// A driver that runs on the CPU, such as lavapipe: right for tests, slower than our own CPU code.
    pub software: bool,
    /// 16-bit floats in kernels.
    pub shader_f16: bool,
    /// Subgroup operations, and the least and greatest width.
    pub subgroups: Option<(u32, u32)>,
    /// Tensor-core products.
    pub cooperative: Vec<Cooperative>,
    /// Timestamps of kernels.
    pub timestamps: bool,
    /// Bytes of the card's own memory, where the driver says so.
    pub memory: Option<u64>,
    /// Where the card is in the machine, where the driver says so: two adapters there are one card.
    pub bus: Option<String>,
    /// The limits that the device is opened with.
    pub limits: wgpu::Limits,
}

fn instance() -> wgpu::Instance {
    let mut descriptor = wgpu::InstanceDescriptor::new_without_display_handle();
    descriptor.backends = wgpu::Backends::VULKAN | wgpu::Backends::METAL | wgpu::Backends::DX12;
    // Validation layers are for those who ask for them: they slow every call.
    descriptor.flags = wgpu::InstanceFlags::empty().with_env();
    wgpu::Instance::new(descriptor)
}

fn describe(index: usize, adapter: &wgpu::Adapter) -> AdapterReport {
    let info = adapter.get_info();
    let features = adapter.features();
    let cooperative = adapter
        .cooperative_matrix_properties()
        .iter()
        .map(|one| Cooperative {
            size: [one.m_size, one.n_size, one.k_size],
            f16_operands: one.ab_type == wgpu::CooperativeScalarType::F16,
            f32_result: one.cr_type == wgpu::CooperativeScalarType::F32,
        })
        .collect();
    AdapterReport {
        index,
        name: info.name,
        driver: [info.driver, info.driver_info].join(" ").trim().to_owned(),
        backend: format!("{:?}", info.backend),
        kind: match info.device_type {
            wgpu::DeviceType::DiscreteGpu => "discrete",
            wgpu::DeviceType::IntegratedGpu => "integrated",
            wgpu::DeviceType::VirtualGpu => "virtual",
            wgpu::DeviceType::Cpu => "software",
            wgpu::DeviceType::Other => "other",
        },
        software: info.device_type == wgpu::DeviceType::Cpu,
        shader_f16: features.contains(wgpu::Features::SHADER_F16),
        subgroups: features
            .contains(wgpu::Features::SUBGROUP)
            .then_some((info.subgroup_min_size, info.subgroup_max_size)),
        cooperative,
        timestamps: features.contains(wgpu::Features::TIMESTAMP_QUERY),
        memory: heaps::largest(adapter),
        bus: Some(info.device_pci_bus_id).filter(|bus| !bus.is_empty()),
        limits: adapter.limits(),
    }
}

/// The adapters in a fixed order: real GPUs first (discrete before integrated), software last.
fn adapters() -> Vec<wgpu::Adapter> {
    let mut adapters = pollster::block_on(instance().enumerate_adapters(wgpu::Backends::all()));
    adapters.sort_by_key(|adapter| match adapter.get_info().device_type {
        wgpu::DeviceType::DiscreteGpu => 0,
        wgpu::DeviceType::IntegratedGpu => 1,
        wgpu::DeviceType::VirtualGpu => 2,
        wgpu::DeviceType::Other => 3,
        wgpu::DeviceType::Cpu => 4,
    });
    adapters
}

/// Every adapter of this machine, real GPUs first.
pub fn list() -> Vec<AdapterReport> {
    adapters().iter().enumerate().map(|(index, adapter)| describe(index, adapter)).collect()
}

/// The numbers of the adapters that are other cards of the same name as this one, by the same interface.
pub fn peers(of: &AdapterReport) -> Vec<usize> {
    peers_among(of, list())
}

fn peers_among(of: &AdapterReport, all: Vec<AdapterReport>) -> Vec<usize> {
    let mut buses = vec![of.bus.clone()];
    let mut peers = Vec::new();
    for other in all {
        let alike = (&other.name, &other.backend) == (&of.name, &of.backend) && other.index != of.index;
        if alike && (other.bus.is_none() || !buses.contains(&other.bus)) {
            peers.push(other.index);
            buses.push(other.bus);
        }
    }
    peers
}

/// Opens adapter `index` of [`list`].
///
/// # Errors
/// [`Error::NoAdapter`] if there is none at that place, or the driver refuses to open it.
pub fn open(index: usize, options: Options) -> Result<Gpu> {
    let adapters = adapters();
    let count = adapters.len();
    match adapters.into_iter().nth(index) {
        Some(adapter) => open_adapter(index, &adapter, options),
        None => Err(no_adapter(index, count)),
    }
}

/// Opens the first real GPU that can be opened; also gives how many adapters there are. Drivers take their time to say what
/// there is, so this asks once.
///
/// # Errors
/// Why there is none, for the user.
pub(crate) fn open_real(options: Options) -> std::result::Result<(Gpu, usize), String> {
    let adapters = adapters();
    let mut reasons = Vec::new();
    for (index, adapter) in adapters.iter().enumerate() {
        if adapter.get_info().device_type == wgpu::DeviceType::Cpu {
            continue;
        }
        match open_adapter(index, adapter, options) {
            Ok(gpu) => return Ok((gpu, adapters.len())),
            Err(error) => reasons.push(error.to_string()),
        }
    }
    Err(match (reasons.is_empty(), adapters.first()) {
        (false, _) => reasons.join("; "),
        (true, None) => "no GPU driver was found".into(),
        (true, Some(adapter)) => format!("the only adapter is a software one, {}", adapter.get_info().name),
    })
}

fn no_adapter(index: usize, count: usize) -> Error {
    Error::NoAdapter(match count {
        0 => {
            "no adapter with a Vulkan, Metal or DX12 driver was found. On Linux install your card's Vulkan driver (Debian: \
             mesa-vulkan-drivers, or nvidia-driver for NVIDIA), or use --device cpu"
                .into()
        }
        _ => format!("there is no adapter {index}; this machine has 0 to {}: see `gradus devices`", count - 1),
    })
}

fn open_adapter(index: usize, adapter: &wgpu::Adapter, options: Options) -> Result<Gpu> {
    let mut report = describe(index, adapter);
    let wanted = wgpu::Features::SHADER_F16
        | wgpu::Features::SUBGROUP
        | wgpu::Features::TIMESTAMP_QUERY
        | wgpu::Features::EXPERIMENTAL_COOPERATIVE_MATRIX;
    let mut features = if options.default_limits { wgpu::Features::empty() } else { adapter.features() & wanted };
    if options.kernel_cache.is_some() {
        features |= adapter.features() & wgpu::Features::PIPELINE_CACHE;
    }
    if options.default_limits {
        report.limits = wgpu::Limits::default();
        report.shader_f16 = false;
        report.subgroups = None;
        report.cooperative.clear();
        report.timestamps = false;
    }
    if let Some(most) = options.most_workgroups {
        report.limits.max_compute_workgroups_per_dimension =
            most.min(report.limits.max_compute_workgroups_per_dimension);
    }
    if let Some(most) = options.most_bytes {
        let buffer = most.saturating_add(super::faults::BYTES);
        report.limits.max_buffer_size = buffer.min(report.limits.max_buffer_size);
        report.limits.max_storage_buffer_binding_size = most.min(report.limits.max_storage_buffer_binding_size);
    }
    if options.time_dispatches && !report.timestamps {
        return Err(Error::NoAdapter(format!("adapter {index}, {}, has no timestamps", report.name)));
    }
    let (device, queue) = pollster::block_on(adapter.request_device(&wgpu::DeviceDescriptor {
        label: Some("gradus"),
        required_features: features,
        required_limits: report.limits.clone(),
        // SAFETY: cooperative matrices are the only experimental feature asked for; kernels that use them are checked
        // against plain ones before they are trusted.
        experimental_features: unsafe { wgpu::ExperimentalFeatures::enabled() },
        memory_hints: wgpu::MemoryHints::Performance,
        trace: wgpu::Trace::Off,
    }))
    .map_err(|error| Error::NoAdapter(format!("adapter {index}, {}, cannot be opened: {error}", report.name)))?;

    let fault = Arc::new(Mutex::new(None));
    let lost = Arc::new(AtomicBool::new(false));
    let first = fault.clone();
    device.on_uncaptured_error(Arc::new(move |error: wgpu::Error| {
        let error = match error {
            wgpu::Error::OutOfMemory { source } => Error::OutOfMemory(source.to_string()),
            other => Error::Gpu(other.to_string()),
        };
        lock(&first).get_or_insert(error);
    }));
    let (flag, first) = (lost.clone(), fault.clone());
    device.set_device_lost_callback(move |reason, message| {
        // Dropping the last handle reports the device as destroyed; nobody reads the flag then.
        flag.store(true, Ordering::SeqCst);
        lock(&first).get_or_insert(Error::DeviceLost(format!("{message} ({reason:?})")));
    });
    let mut pool = super::buffer::Pool::default();
    let faults = Faults::new(&device, pool.fresh_id());
    let timings = options.time_dispatches.then(|| Timings::new(&device));
    let driver_key = wgpu::util::pipeline_cache_key(&adapter.get_info());
    let store = options.kernel_cache.map(|folder| Store::new(folder, &report, &options, driver_key.as_deref()));
    let Found { variants, compiled } = store.as_ref().map(Store::read).unwrap_or_default();
    let cache = (store.is_some() && features.contains(wgpu::Features::PIPELINE_CACHE)).then(|| {
        let descriptor = wgpu::PipelineCacheDescriptor { label: None, data: compiled.as_deref(), fallback: true };
        // SAFETY: the content is what an earlier `get_data` gave, of this adapter and driver: the store has seen its own
        // hash and checksum. wgpu and the driver look at the heads of their own.
        unsafe { device.create_pipeline_cache(&descriptor) }
    });
    let compiler = Compiler::new(device.clone(), options.checked_kernels, cache);
    let submitter = Submitter::new(device.clone(), queue, compiler.clone(), fault.clone(), timings);
    let gpu = Gpu(Arc::new(Shared {
        device,
        report,
        options,
        pool: Mutex::new(pool),
        kernels: Mutex::default(),
        compiler,
        store,
        recorder: Mutex::new(Recorder::new(options.rates)),
        submitter,
        faults,
        trusted: Mutex::default(),
        fault,
        lost,
    }));
    for (kernel, element, constants) in variants {
        gpu.expect(kernel, element, &constants);
    }
    Ok(gpu)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn peers_are_other_cards_of_the_same_name() {
        let report = |index, name: &str, backend: &str, bus: &str| AdapterReport {
            index,
            name: name.into(),
            driver: "1".into(),
            backend: backend.into(),
            kind: "discrete",
            software: false,
            shader_f16: true,
            subgroups: None,
            cooperative: Vec::new(),
            timestamps: true,
            memory: None,
            bus: Some(bus.to_owned()).filter(|bus| !bus.is_empty()),
            limits: wgpu::Limits::default(),
        };
        let cards = [
            report(0, "card", "Vulkan", "01"),
            report(1, "card", "Vulkan", "02"),
            // The second card by another driver, and by another interface.
            report(2, "card", "Vulkan", "02"),
            report(3, "card", "Dx12", "02"),
            report(4, "other", "Vulkan", "03"),
            // A driver that does not say where.
            report(5, "card", "Vulkan", ""),
        ];
        assert_eq!(peers_among(&cards[0], cards.to_vec()), [1, 5]);
        assert_eq!(peers_among(&cards[4], cards.to_vec()), [0; 0]);
    }
}
