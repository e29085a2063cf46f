//! `gradus devices`: what this machine can compute on.

use gradus_engine::Device;
use gradus_engine::device::gpu::{AdapterReport, adapter};
use serde_json::{Value, json};

use crate::figures;

/// What to do where no adapter is found.
const INSTALL: &str = "no GPU adapter was found. For a GPU install its Vulkan driver: on Debian or Ubuntu `apt install \
mesa-vulkan-drivers` (AMD, Intel, and lavapipe, which runs on the CPU) or NVIDIA's driver package; on Fedora \
`dnf install mesa-vulkan-drivers`. Metal and DX12 come with macOS and Windows. In a container, the driver's files must be \
inside it (for NVIDIA: the graphics capability). The CPU always works.";

/// The list as text.
pub fn text() -> String {
    let adapters = adapter::list();
    let cpu = Device::cpu();
    let mut lines = vec![format!("cpu      {}", cpu.name())];
    lines.push("         f32 and f64; vector instructions are chosen when the program starts".into());
    lines.extend(adapters.iter().map(adapter_text));
    if adapters.is_empty() {
        lines.push(INSTALL.into());
    }
    let (device, why) = Device::auto();
    lines.push(format!("--device auto is {}: {why}", device.name()));
    lines.join("\n") + "\n"
}

fn adapter_text(report: &AdapterReport) -> String {
    let AdapterReport { index, name, driver, backend, kind, limits, .. } = report;
    let software =
        if report.software { ": runs on the CPU, slower than --device cpu; auto never picks it" } else { "" };
    let mut lines = vec![
        format!("gpu:{index}    {name}, {backend}, {kind}{software}"),
        format!("         driver {driver}"),
        format!("         features: {}", features(report).join(", ")),
        format!(
            "         limits: buffer {}, binding {}, workgroup memory {}, {} invocations a workgroup, {} workgroups a dimension, {} storage bindings",
            figures::bytes(limits.max_buffer_size),
            figures::bytes(limits.max_storage_buffer_binding_size),
            figures::bytes(limits.max_compute_workgroup_storage_size.into()),
            limits.max_compute_invocations_per_workgroup,
            limits.max_compute_workgroups_per_dimension,
            limits.max_storage_buffers_per_shader_stage
        ),
    ];
    lines.extend(variants().iter().map(|(kernels, why)| format!("         kernels: {kernels} ({why})")));
    lines.join("\n")
}

fn features(report: &AdapterReport) -> Vec<String> {
    let mut features = Vec::new();
    if report.shader_f16 {
        features.push("f16".to_string());
    }
    if let Some((least, most)) = report.subgroups {
        features.push(if least == most {
            format!("subgroups of {least}")
        } else {
            format!("subgroups of {least} to {most}")
        });
    }
    for one in &report.cooperative {
        let [m, n, k] = one.size;
        let kind = |f16: bool| if f16 { "f16" } else { "f32" };
        features.push(format!(
            "cooperative {m}x{n}x{k} {} to {}",
            kind(one.f16_operands),
            if one.f32_result { "f32" } else { "f16" }
        ));
    }
    if report.timestamps {
        features.push("timestamps".into());
    }
    if features.is_empty() {
        features.push("none beyond WebGPU's default".into());
    }
    features
}

/// The kernels that run, and why these.
fn variants() -> [(&'static str, &'static str); 4] {
    [
        ("f32, without subgroups and matrix units", "all of --precision f32; they run on every adapter"),
        (
            "matrix products in tiles of 128x64, 64x64 or 32x32",
            "the largest of which a product has 256 or more, counting up to 8 parts of a depth over 1024",
        ),
        (
            "products, attention and mLSTM of f16 on matrix units",
            "--precision mixed, where an adapter has cooperative 16x16x16 f16 to f32 and subgroups of 32 alone; heads and rows \
             must divide by 16 and by 4",
        ),
        ("f16 loaded and stored, computed in f32", "--precision mixed on other adapters with f16, and other sizes"),
    ]
}

/// The list as JSON.
pub fn json() -> Value {
    let adapters: Vec<Value> = adapter::list().iter().map(adapter_json).collect();
    let install = adapters.is_empty().then_some(INSTALL);
    let (device, why) = Device::auto();
    json!({
        "cpu": { "device": "cpu", "name": Device::cpu().name(), "threads": rayon::current_num_threads() },
        "adapters": adapters,
        "auto": { "name": device.name(), "gpu": device.is_gpu(), "why": why },
        "install": install,
    })
}

fn adapter_json(report: &AdapterReport) -> Value {
    let limits = &report.limits;
    json!({
        "device": format!("gpu:{}", report.index),
        "name": report.name,
        "driver": report.driver,
        "backend": report.backend,
        "kind": report.kind,
        "software": report.software,
        "features": {
            "f16": report.shader_f16,
            "subgroups": report.subgroups.map(|(least, most)| [least, most]),
            "timestamps": report.timestamps,
            "cooperative": report.cooperative.iter().map(|one| json!({
                "size": one.size, "f16_operands": one.f16_operands, "f32_result": one.f32_result,
            })).collect::<Vec<_>>(),
        },
        "limits": {
            "max_buffer_size": limits.max_buffer_size,
            "max_storage_buffer_binding_size": limits.max_storage_buffer_binding_size,
            "max_compute_workgroup_storage_size": limits.max_compute_workgroup_storage_size,
            "max_compute_invocations_per_workgroup": limits.max_compute_invocations_per_workgroup,
            "max_compute_workgroups_per_dimension": limits.max_compute_workgroups_per_dimension,
            "max_storage_buffers_per_shader_stage": limits.max_storage_buffers_per_shader_stage,
        },
        "kernels": variants().iter().map(|(kernels, why)| json!({ "kernels": kernels, "why": why })).collect::<Vec<_>>(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_and_json_agree() {
        let (text, json) = (text(), json());
        assert!(text.starts_with("cpu      CPU,"));
        let adapters = json["adapters"].as_array().unwrap();
        assert_eq!(adapters.is_empty(), text.contains("no GPU adapter was found"));
        assert_eq!(adapters.is_empty(), !json["install"].is_null());
        for adapter in adapters {
            let line = format!("{}    {}", adapter["device"].as_str().unwrap(), adapter["name"].as_str().unwrap());
            assert!(text.contains(&line), "{text}");
        }
        assert!(text.contains(json["auto"]["why"].as_str().unwrap()));
    }
}
