//! Compiled kernels, found by name and variant.

use std::collections::HashMap;
use std::sync::Arc;

use gradus_shaders::{Access, Constant, Kernel, PART_BINDING};

use super::{Gpu, inspect, lock};
use crate::dtype::DType;
use crate::error::{Error, Result};

#[derive(PartialEq, Eq, Hash)]
struct Key {
    /// Its address: names of users' kernels need not differ from ours.
    kernel: usize,
    element: DType,
    constants: Vec<Constant>,
}

/// A compiled kernel.
pub(crate) struct Compiled {
    pub pipeline: wgpu::ComputePipeline,
    pub layout: wgpu::BindGroupLayout,
    pub id: u64,
}

/// The kernels compiled so far.
#[derive(Default)]
pub(crate) struct Kernels {
    compiled: HashMap<Key, Arc<Compiled>>,
}

impl Gpu {
    /// The compiled variant, compiling it on first use.
    pub(super) fn kernel(
        &self,
        kernel: &'static Kernel,
        element: DType,
        constants: &[Constant],
    ) -> Result<Arc<Compiled>> {
        let key = Key { kernel: std::ptr::from_ref(kernel).addr(), element, constants: constants.to_vec() };
        let mut kernels = lock(&self.0.kernels);
        if let Some(found) = kernels.compiled.get(&key) {
            return Ok(found.clone());
        }
        let id = kernels.compiled.len() as u64;
        let compiled = Arc::new(self.compile(kernel, element, constants, id)?);
        kernels.compiled.insert(key, compiled.clone());
        Ok(compiled)
    }

    fn compile(&self, kernel: &Kernel, element: DType, constants: &[Constant], id: u64) -> Result<Compiled> {
        let ours = kernel.is_ours();
        if !ours {
            inspect::inspect(kernel, element.name(), constants)?;
        }
        let source = kernel.source(element.name(), constants);
        let device = &self.0.device;
        let scope = device.push_error_scope(wgpu::ErrorFilter::Validation);
        let descriptor =
            wgpu::ShaderModuleDescriptor { label: Some(kernel.name), source: wgpu::ShaderSource::Wgsl(source.into()) };
        let module = if ours && !self.0.options.checked_kernels {
            // SAFETY: our own kernels keep their indices within the lengths in their parameters; the tests run each of
            // them with guard bands and in checked mode.
            unsafe { device.create_shader_module_trusted(descriptor, wgpu::ShaderRuntimeChecks::unchecked()) }
        } else {
            device.create_shader_module(descriptor)
        };
        let uniform = wgpu::BufferBindingType::Uniform;
        let storage = |access: &Access| wgpu::BufferBindingType::Storage { read_only: *access == Access::Read };
        let entries: Vec<_> = std::iter::once(uniform)
            .chain(kernel.bindings.iter().map(storage))
            .zip(0..)
            .chain(kernel.splits().then_some((uniform, PART_BINDING)))
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
        let pipeline = device.create_compute_pipeline(&wgpu::ComputePipelineDescriptor {
            label: Some(kernel.name),
            layout: Some(&pipeline_layout),
            module: &module,
            entry_point: Some("main"),
            compilation_options: wgpu::PipelineCompilationOptions {
                // Every kernel writes its workgroup memory before it reads it.
                zero_initialize_workgroup_memory: !ours,
                ..Default::default()
            },
            cache: None,
        });
        match pollster::block_on(scope.pop()) {
            None => Ok(Compiled { pipeline, layout, id }),
            Some(error) => Err(Error::Kernel { kernel: kernel.name.into(), message: error.to_string() }),
        }
    }
}
