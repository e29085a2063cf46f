//! WebGPU's default limits, and bindings that are as the table says.

use std::collections::BTreeMap;

use gradus_shaders::{Access, Constant, Kernel, PART_BINDING};
use naga::valid::{GlobalUse, ModuleInfo};
use naga::{AddressSpace, Module, ScalarKind, ShaderStage, StorageAccess, TypeInner};

use super::Rule;
use super::finding::Findings;

/// `maxComputeWorkgroupStorageSize`, in bytes.
pub const MOST_BYTES: u32 = 16_384;
/// The same for kernels on matrix units, which run on adapters that allow more, as NVIDIA's do; where one allows less than a
/// kernel has, the rule that picks kernels must see to it.
pub const MOST_COOPERATIVE_BYTES: u32 = 49_152;
/// A variant with this constant takes more than the least device has; it may have what every desktop GPU allows, and the rule that
/// picks it sees to it that the device has as much.
const LARGE_VARIANT: Constant = ("WIDE", 2);
const MOST_LARGE_BYTES: u32 = 32_768;
/// `maxComputeInvocationsPerWorkgroup`, and the limit of x and of y; z may be 64.
pub const MOST_INVOCATIONS: u32 = 256;
/// Storage buffers of a kernel, besides the parameters; one fewer than `maxStorageBuffersPerShaderStage`.
pub const MOST_STORAGE: usize = 7;
/// `maxUniformBufferBindingSize` is 64 KiB, but parameters are cached by content and should be few.
const MOST_PARAMETER_BYTES: u32 = 1024;

/// Adds what is wrong; false if there is no entry point to go on with.
pub(super) fn check(
    (kernel, constants): (&Kernel, &[Constant]),
    module: &Module,
    info: &ModuleInfo,
    findings: &mut Findings,
) -> bool {
    let [entry] = module.entry_points.as_slice() else {
        findings.add(Rule::EntryPoint, None, format!("{} entry points, one is wanted", module.entry_points.len()));
        return false;
    };
    if entry.name != "main" || entry.stage != ShaderStage::Compute {
        findings.add(Rule::EntryPoint, None, format!("the entry point is {:?} `{}`", entry.stage, entry.name));
        return false;
    }
    let [x, y, z] = entry.workgroup_size.map(u64::from);
    if x * y * z > u64::from(MOST_INVOCATIONS) || z > 64 || x * y * z == 0 {
        let message = format!("{x} x {y} x {z} invocations a workgroup, at most {MOST_INVOCATIONS} and 64 in z");
        findings.add(Rule::Invocations, None, message);
    }
    let most = if kernel.cooperative() {
        MOST_COOPERATIVE_BYTES
    } else if constants.contains(&LARGE_VARIANT) {
        MOST_LARGE_BYTES
    } else {
        MOST_BYTES
    };
    workgroup_memory(module, info, most, findings);
    bindings(kernel, module, info, findings);
    for (handle, ty) in module.types.iter() {
        if let TypeInner::Atomic(scalar) = ty.inner
            && scalar.kind == ScalarKind::Float
        {
            let offset = module.types.get_span(handle).to_range().map(|range| range.start as u32);
            findings.add(Rule::FloatAtomic, offset, "an atomic of a floating-point type");
        }
    }
    true
}

/// As WebGPU counts: each variable that the entry point uses, rounded up to 16 bytes.
fn workgroup_memory(module: &Module, info: &ModuleInfo, most: u32, findings: &mut Findings) {
    let mut bytes = 0u64;
    for (handle, variable) in module.global_variables.iter() {
        if variable.space != AddressSpace::WorkGroup || info.get_entry_point(0)[handle].is_empty() {
            continue;
        }
        let size = module.types[variable.ty].inner.size(module.to_ctx());
        bytes += u64::from(size).next_multiple_of(16);
    }
    if bytes > u64::from(most) {
        findings.add(Rule::WorkgroupMemory, None, format!("{bytes} bytes of workgroup memory, at most {most}"));
    }
}

fn bindings(kernel: &Kernel, module: &Module, info: &ModuleInfo, findings: &mut Findings) {
    if kernel.bindings.len() > MOST_STORAGE {
        let message = format!("{} storage buffers, at most {MOST_STORAGE}", kernel.bindings.len());
        findings.add(Rule::Bindings, None, message);
    }
    let mut found = BTreeMap::new();
    for (handle, variable) in module.global_variables.iter() {
        let Some(binding) = variable.binding else { continue };
        let name = variable.name.as_deref().unwrap_or("?");
        let offset = module.global_variables.get_span(handle).to_range().map(|range| range.start as u32);
        if binding.group != 0 {
            findings.add(Rule::Bindings, offset, format!("`{name}` is in group {}, all are in 0", binding.group));
        }
        if found.insert(binding.binding, name).is_some() {
            findings.add(Rule::Bindings, offset, format!("binding {} is there twice", binding.binding));
        }
        let used = info.get_entry_point(0)[handle];
        if used.is_empty() {
            findings.add(Rule::Bindings, offset, format!("`{name}` is never used"));
        }
        match (binding.binding, variable.space) {
            (0, AddressSpace::Uniform) => parameters(module, name, variable.ty, offset, findings),
            (PART_BINDING, AddressSpace::Uniform) if kernel.splits() => {}
            (1.., AddressSpace::Storage { access }) => {
                let Some(declared) = kernel.bindings.get(binding.binding as usize - 1) else {
                    let message = format!("binding {} `{name}` is not in the table", binding.binding);
                    findings.add(Rule::Bindings, offset, message);
                    continue;
                };
                let actual = if access.contains(StorageAccess::STORE) { Access::ReadWrite } else { Access::Read };
                if *declared != actual {
                    findings.add(Rule::Bindings, offset, format!("`{name}` is {actual:?}, in the table {declared:?}"));
                }
                if actual == Access::ReadWrite && !used.intersects(GlobalUse::WRITE | GlobalUse::ATOMIC) {
                    findings.add(Rule::Bindings, offset, format!("`{name}` is read_write and never written"));
                }
            }
            (number, _) => {
                let message = format!("binding {number} `{name}`: 0 is the uniform, the others are storage");
                findings.add(Rule::Bindings, offset, message);
            }
        }
    }
    for number in 0..=kernel.bindings.len() as u32 {
        if !found.contains_key(&number) {
            findings.add(Rule::Bindings, None, format!("binding {number} is missing"));
        }
    }
}

/// A structure of 32-bit scalars and vectors of them, so that the engine can write it as a row of 32-bit words.
fn parameters(module: &Module, name: &str, ty: naga::Handle<naga::Type>, offset: Option<u32>, findings: &mut Findings) {
    let mut wrong = |message: String| findings.add(Rule::Parameters, offset, message);
    if name != "parameters" {
        wrong(format!("the uniform is called `{name}`, not `parameters`"));
    }
    let TypeInner::Struct { members, span } = &module.types[ty].inner else {
        return wrong("the uniform is no structure".into());
    };
    if *span > MOST_PARAMETER_BYTES || span % 4 != 0 {
        wrong(format!("{span} bytes of parameters, at most {MOST_PARAMETER_BYTES} and a multiple of 4"));
    }
    for member in members {
        let words = match &module.types[member.ty].inner {
            TypeInner::Scalar(scalar) | TypeInner::Vector { scalar, .. } => scalar.width == 4,
            // The uniform address space itself asks for a stride of 16.
            TypeInner::Array { stride, .. } => stride % 16 == 0,
            _ => false,
        };
        if !words {
            let member = member.name.as_deref().unwrap_or("?");
            wrong(format!("parameter `{member}` is not made of 32-bit scalars or vectors"));
        }
    }
}
