//! Validation, and translation for Vulkan, Metal and DX12, in the unchecked mode that is shipped and in the checked one.

use naga::back::{hlsl, msl, spv};
use naga::proc::{BoundsCheckPolicies, BoundsCheckPolicy};
use naga::valid::{Capabilities, ModuleInfo, ValidationError, ValidationFlags, Validator};
use naga::{Module, ShaderStage, TypeInner, WithSpan};

use super::Rule;

/// Whether the module computes with cooperative matrices, which naga cannot write as HLSL.
fn is_cooperative(module: &Module) -> bool {
    module.types.iter().any(|(_, ty)| matches!(ty.inner, TypeInner::CooperativeMatrix { .. }))
}

/// Validates with no capability beyond what the element type and the matrix units need.
pub(super) fn validate(module: &Module, element: &str) -> Result<ModuleInfo, Box<WithSpan<ValidationError>>> {
    // WebGPU has `unpack2x16float` on every device; f16 numbers of their own are a feature.
    let mut capabilities = Capabilities::SHADER_FLOAT16_IN_FLOAT32;
    if element == "f16" {
        capabilities |= Capabilities::SHADER_FLOAT16;
    }
    if is_cooperative(module) {
        capabilities |= Capabilities::COOPERATIVE_MATRIX | Capabilities::SHADER_FLOAT16;
    }
    Validator::new(ValidationFlags::all(), capabilities).validate(module).map_err(Box::new)
}

/// Writes the entry point for every platform; returns what failed.
pub(super) fn write(module: &Module, info: &ModuleInfo) -> Vec<(Rule, String)> {
    let mut faults = Vec::new();
    for checked in [false, true] {
        let policy = if checked { BoundsCheckPolicy::Restrict } else { BoundsCheckPolicy::Unchecked };
        let policies = BoundsCheckPolicies { index: policy, buffer: policy, image_load: policy, binding_array: policy };
        let mode = if checked { "checked" } else { "unchecked" };

        let zeroed = if checked {
            spv::ZeroInitializeWorkgroupMemoryMode::Polyfill
        } else {
            spv::ZeroInitializeWorkgroupMemoryMode::None
        };
        let options = spv::Options {
            bounds_check_policies: policies,
            force_loop_bounding: checked,
            zero_initialize_workgroup_memory: zeroed,
            ..Default::default()
        };
        let entry = spv::PipelineOptions { shader_stage: ShaderStage::Compute, entry_point: "main".into() };
        match spv::write_vec(module, info, &options, Some(&entry)) {
            Ok(words) if words.len() > 5 => {}
            Ok(words) => faults.push((Rule::Spirv, format!("{mode}: only {} words", words.len()))),
            Err(error) => faults.push((Rule::Spirv, format!("{mode}: {error}"))),
        }

        let options = msl::Options {
            lang_version: (2, 4),
            bounds_check_policies: policies,
            force_loop_bounding: checked,
            zero_initialize_workgroup_memory: checked,
            ..Default::default()
        };
        let entry =
            msl::PipelineOptions { entry_point: Some((ShaderStage::Compute, "main".into())), ..Default::default() };
        match msl::write_string(module, info, &options, &entry) {
            Ok((text, written)) => {
                if !text.contains("kernel void") {
                    faults.push((Rule::Msl, format!("{mode}: no kernel in what is written")));
                }
                for error in written.entry_point_names.iter().filter_map(|name| name.as_ref().err()) {
                    faults.push((Rule::Msl, format!("{mode}: {error}")));
                }
            }
            Err(error) => faults.push((Rule::Msl, format!("{mode}: {error}"))),
        }

        if is_cooperative(module) {
            continue;
        }
        let options = hlsl::Options {
            shader_model: hlsl::ShaderModel::V6_0,
            restrict_indexing: checked,
            force_loop_bounding: checked,
            zero_initialize_workgroup_memory: checked,
            ..Default::default()
        };
        let entry = hlsl::PipelineOptions { entry_point: Some((ShaderStage::Compute, "main".into())) };
        let mut text = String::new();
        match hlsl::Writer::new(&mut text, &options, &entry).write(module, info, None) {
            Ok(written) => {
                if !written.entry_point_names.iter().any(|name| name.is_ok()) {
                    faults.push((Rule::Hlsl, format!("{mode}: no entry point in what is written")));
                }
            }
            Err(error) => faults.push((Rule::Hlsl, format!("{mode}: {error}"))),
        }
        if !text.contains("[numthreads(") {
            faults.push((Rule::Hlsl, format!("{mode}: no numthreads in what is written")));
        }
    }
    faults
}
