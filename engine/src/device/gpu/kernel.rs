//! Kernels and their variants: found by what they are, compiled by several threads ahead of their use.
//!
//! The driver's compiler takes a tenth of a second or more for a large kernel, and a training step uses some sixty variants.
//! So nobody waits for a compiler until its kernel is needed: a variant that is asked for is put to a pool of threads, one a
//! core, recording goes on, and only submitting waits for what is not ready yet. Whoever needs a variant that no thread has
//! begun compiles it himself. Variants that runs before needed are put to the threads when the device is opened, see
//! [`super::store`]. Users' kernels are compiled where they are dispatched first, so that what is wrong with them is said there.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, OnceLock};

use gradus_shaders::{Access, Constant, Kernel, PART_BINDING};
use rustc_hash::FxHashMap;

use super::{Gpu, inspect, lock};
use crate::dtype::DType;
use crate::error::{Error, Result};

/// Bytes of stack of a thread that compiles: compilers recurse, and are written for main threads.
pub(super) const STACK: usize = 16 << 20;

/// A variant of a kernel: how its buffers are bound, and its pipeline once that is compiled.
pub(crate) struct Variant {
    pub id: u64,
    pub kernel: &'static Kernel,
    pub element: DType,
    pub constants: Arc<[Constant]>,
    /// See [`Kernel::splits`].
    pub splits: bool,
    /// See [`Kernel::is_ours`].
    pub is_ours: bool,
    pub layout: wgpu::BindGroupLayout,
    pipeline_layout: wgpu::PipelineLayout,
    pipeline: OnceLock<Result<wgpu::ComputePipeline>>,
    /// Whether it was dispatched, and not only prepared because runs before did.
    used: AtomicBool,
}

impl Variant {
    /// Whether the compiler is done with it.
    pub(super) fn is_compiled(&self) -> bool {
        self.pipeline.get().is_some()
    }
}

/// The variants known so far.
#[derive(Default)]
pub(crate) struct Kernels {
    /// By the kernel's address (names of users' kernels need not differ from ours) and type. A kernel has few variants. Of
    /// our own kernels, which may have several addresses, it is that of the one in the shaders' list.
    known: FxHashMap<(usize, DType), Vec<Arc<Variant>>>,
    /// That address for every one seen.
    addresses: FxHashMap<usize, usize>,
    count: u64,
    /// Those dispatched, in the order of their first use.
    used: Vec<Arc<Variant>>,
    /// Those that runs before used and this one did not yet.
    listed: Vec<Arc<Variant>>,
    /// Whether one was dispatched that no run before had used.
    pub(super) has_new: bool,
}

impl Kernels {
    fn find(&self, key: &(usize, DType), constants: &[Constant]) -> Option<&Arc<Variant>> {
        self.known.get(key)?.iter().find(|variant| *variant.constants == *constants)
    }

    /// Our own variants: those of this run in the order of their first use, then those of runs before.
    pub(super) fn list(&self) -> impl Iterator<Item = &Variant> {
        let unused = self.listed.iter().filter(|variant| !variant.used.load(Ordering::Relaxed));
        self.used.iter().chain(unused).map(|variant| &**variant).filter(|variant| variant.is_ours)
    }
}

/// What compiles, shared with the threads that do.
pub(crate) struct Compiler {
    device: wgpu::Device,
    /// Compile our own kernels with wgpu's run-time checks too.
    checked: bool,
    /// `None` where the system has no more threads: whoever needs a pipeline compiles it.
    threads: Option<rayon::ThreadPool>,
    /// The driver's own results, from runs before and of this one.
    pub(super) cache: Option<wgpu::PipelineCache>,
    stopped: AtomicBool,
    running: Mutex<usize>,
    idle: Condvar,
}

impl Compiler {
    pub(super) fn new(device: wgpu::Device, checked: bool, cache: Option<wgpu::PipelineCache>) -> Arc<Self> {
        let name = |at| format!("compiler {at}");
        let threads = rayon::ThreadPoolBuilder::new().stack_size(STACK).thread_name(name).build().ok();
        let (stopped, running, idle) = Default::default();
        Arc::new(Self { device, checked, threads, cache, stopped, running, idle })
    }

    /// The pipeline, compiled here if no thread has begun to.
    pub(super) fn pipeline<'a>(&self, variant: &'a Variant) -> Result<&'a wgpu::ComputePipeline> {
        variant.pipeline.get_or_init(|| self.compile(variant)).as_ref().map_err(Clone::clone)
    }

    /// Has a thread of the pool compile it, unless somebody needs it before.
    fn start(self: &Arc<Self>, variant: &Arc<Variant>) {
        let Some(threads) = &self.threads else { return };
        let (compiler, variant) = (self.clone(), variant.clone());
        threads.spawn(move || {
            {
                let mut running = lock(&compiler.running);
                if compiler.stopped.load(Ordering::SeqCst) {
                    return;
                }
                *running += 1;
            }
            // After a panic the variant is still to be compiled: whoever needs it meets the panic on his own thread.
            let _ = catch_unwind(AssertUnwindSafe(|| compiler.pipeline(&variant).map(|_| ())));
            *lock(&compiler.running) -= 1;
            compiler.idle.notify_all();
        });
    }

    /// Begins nothing more and waits for what is under way: a driver must not be unloaded under its own compiler.
    pub(super) fn stop(&self) {
        let mut running = lock(&self.running);
        self.stopped.store(true, Ordering::SeqCst);
        while *running > 0 {
            running = self.idle.wait(running).unwrap_or_else(|poisoned| poisoned.into_inner());
        }
    }

    fn compile(&self, variant: &Variant) -> Result<wgpu::ComputePipeline> {
        let Variant { kernel, element, constants, .. } = variant;
        let ours = variant.is_ours;
        if !ours {
            inspect::inspect(kernel, element.name(), constants)?;
        }
        let source = kernel.source(element.name(), constants);
        let device = &self.device;
        // Scopes are a thread's own.
        let scope = device.push_error_scope(wgpu::ErrorFilter::Validation);
        let descriptor =
            wgpu::ShaderModuleDescriptor { label: Some(kernel.name), source: wgpu::ShaderSource::Wgsl(source.into()) };
        let module = if ours && !self.checked && !kernel.keeps_checks() {
            // SAFETY: our own kernels keep their indices within the lengths in their parameters; the tests run each of
            // them with guard bands and in checked mode.
            unsafe { device.create_shader_module_trusted(descriptor, wgpu::ShaderRuntimeChecks::unchecked()) }
        } else {
            device.create_shader_module(descriptor)
        };
        let pipeline = device.create_compute_pipeline(&wgpu::ComputePipelineDescriptor {
            label: Some(kernel.name),
            layout: Some(&variant.pipeline_layout),
            module: &module,
            entry_point: Some("main"),
            compilation_options: wgpu::PipelineCompilationOptions {
                // Every kernel writes its workgroup memory before it reads it.
                zero_initialize_workgroup_memory: !ours,
                ..Default::default()
            },
            cache: self.cache.as_ref(),
        });
        match pollster::block_on(scope.pop()) {
            None => Ok(pipeline),
            Some(error) => Err(Error::Kernel { kernel: kernel.name.into(), message: error.to_string() }),
        }
    }
}

impl Gpu {
    /// The variant, whose compilation begins when it is asked for first.
    ///
    /// # Errors
    /// A user's kernel that does not compile.
    pub(super) fn variant(
        &self,
        kernel: &'static Kernel,
        element: DType,
        constants: &[Constant],
    ) -> Result<Arc<Variant>> {
        let variant = {
            let kernels = &mut *lock(&self.0.kernels);
            let (variant, known) = self.find(kernels, kernel, element, constants);
            if !variant.used.swap(true, Ordering::Relaxed) {
                kernels.has_new |= !known;
                kernels.used.push(variant.clone());
            }
            variant
        };
        if !variant.is_ours && !variant.is_compiled() {
            self.0.compiler.pipeline(&variant)?;
        }
        Ok(variant)
    }

    /// Has a variant compiled that runs before used.
    pub(super) fn expect(&self, kernel: &'static Kernel, element: DType, constants: &[Constant]) {
        let kernels = &mut *lock(&self.0.kernels);
        let (variant, known) = self.find(kernels, kernel, element, constants);
        if !known {
            kernels.listed.push(variant);
        }
    }

    /// The variant, and whether it was known already; of a new one of our own kernels the compilation begins.
    fn find(
        &self,
        kernels: &mut Kernels,
        kernel: &'static Kernel,
        element: DType,
        constants: &[Constant],
    ) -> (Arc<Variant>, bool) {
        let address = |kernel: &Kernel| std::ptr::from_ref(kernel).addr();
        let listed =
            kernels.addresses.entry(address(kernel)).or_insert_with(|| address(kernel.listed().unwrap_or(kernel)));
        let key = (*listed, element);
        if let Some(found) = kernels.find(&key, constants) {
            return (found.clone(), true);
        }
        let variant = Arc::new(self.prepare(kernel, element, constants, kernels.count));
        kernels.count += 1;
        kernels.known.entry(key).or_default().push(variant.clone());
        if variant.is_ours {
            self.0.compiler.start(&variant);
        }
        (variant, false)
    }

    fn prepare(&self, kernel: &'static Kernel, element: DType, constants: &[Constant], id: u64) -> Variant {
        let device = &self.0.device;
        let splits = kernel.splits();
        let uniform = wgpu::BufferBindingType::Uniform;
        let storage = |access: &Access| wgpu::BufferBindingType::Storage { read_only: *access == Access::Read };
        let entries: Vec<_> = std::iter::once(uniform)
            .chain(kernel.bindings.iter().map(storage))
            .zip(0..)
            .chain(splits.then_some((uniform, PART_BINDING)))
            .map(|(ty, binding)| wgpu::BindGroupLayoutEntry {
                binding,
                visibility: wgpu::ShaderStages::COMPUTE,
                ty: wgpu::BindingType::Buffer { ty, has_dynamic_offset: false, min_binding_size: None },
                count: None,
            })
            .collect();
        let layout =
            device.create_bind_group_layout(&wgpu::BindGroupLayoutDescriptor { label: None, entries: &entries });
        let pipeline_layout = device.create_pipeline_layout(&wgpu::PipelineLayoutDescriptor {
            label: None,
            bind_group_layouts: &[Some(&layout)],
            immediate_size: 0,
        });
        Variant {
            id,
            kernel,
            element,
            constants: constants.into(),
            splits,
            is_ours: kernel.is_ours(),
            layout,
            pipeline_layout,
            pipeline: OnceLock::new(),
            used: AtomicBool::new(false),
        }
    }
}

#[cfg(test)]
mod tests {
    use gradus_shaders::{arithmetic, matmul};

    use super::*;

    /// Seen from this crate, kernels that stand in constants may have addresses of their own.
    #[test]
    fn our_kernels_are_known_as_ours_in_this_crate_too() {
        let products = matmul::FULL.iter().copied().flatten();
        let on_units =
            matmul::MIXED.iter().flat_map(|mixed| mixed.tiled.iter().chain(&mixed.on_units).copied().flatten());
        for kernel in products.chain(on_units).chain([&arithmetic::ADD[0]]) {
            assert!(kernel.is_ours(), "{}", kernel.name);
        }
        let ours = gradus_shaders::ALL.iter().flat_map(|operation| operation.iter());
        assert!(ours.copied().all(Kernel::is_ours));
        let on_units = matmul::MIXED[6].on_units[0][0];
        assert!(on_units.keeps_checks() && !arithmetic::ADD[0].keeps_checks());
        let foreign = Kernel { files: &[], ..arithmetic::ADD[0] };
        assert!(!foreign.is_ours(), "the name alone does not make it ours");
    }
}
