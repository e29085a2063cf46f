//! How much memory a card has, which wgpu does not tell: the driver is asked itself.

/// Bytes of the largest heap that is the device's own, where the backend is Vulkan.
#[cfg(not(any(target_os = "macos", target_os = "ios", target_family = "wasm")))]
pub(super) fn largest(adapter: &wgpu::Adapter) -> Option<u64> {
    // SAFETY: the handles are only used to ask for properties, which changes nothing, and not after the guard is gone.
    let memory = unsafe {
        let adapter = adapter.as_hal::<wgpu::hal::api::Vulkan>()?;
        let instance = adapter.shared_instance().raw_instance();
        instance.get_physical_device_memory_properties(adapter.raw_physical_device())
    };
    let heaps = memory.memory_heaps.iter().take(memory.memory_heap_count as usize);
    heaps.filter(|heap| heap.flags.as_raw() & DEVICE_LOCAL != 0).map(|heap| heap.size).max()
}

/// `VK_MEMORY_HEAP_DEVICE_LOCAL_BIT`.
#[cfg(not(any(target_os = "macos", target_os = "ios", target_family = "wasm")))]
const DEVICE_LOCAL: u32 = 1;

/// Metal shares the machine's memory.
#[cfg(any(target_os = "macos", target_os = "ios", target_family = "wasm"))]
pub(super) fn largest(_: &wgpu::Adapter) -> Option<u64> {
    None
}
