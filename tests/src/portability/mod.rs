//! Whether a kernel runs wherever wgpu does: it translates for every platform, keeps within WebGPU's default limits,
//! declares what it binds, and waits at barriers only where all invocations of a workgroup arrive.

mod finding;
mod limits;
pub mod text;
mod translate;
mod uniformity;

use std::panic::{AssertUnwindSafe, catch_unwind};

use gradus_shaders::{Constant, Kernel};

pub use finding::{Finding, Rule};
pub use limits::{MOST_BYTES, MOST_COOPERATIVE_BYTES, MOST_INVOCATIONS, MOST_STORAGE};

use finding::Findings;

/// With every extension that naga knows; [`translate::validate`] says which a kernel may use.
fn parse(source: &str) -> Result<naga::Module, naga::front::wgsl::ParseError> {
    let mut options = naga::front::wgsl::Options::new();
    options.capabilities = naga::valid::Capabilities::all();
    naga::front::wgsl::Frontend::new_with_options(options).parse(source)
}

/// Everything that is wrong with one variant of a kernel. `element` is what `Element` stands for, `f32` or `f16`.
pub fn examine(kernel: &Kernel, element: &str, constants: &[Constant]) -> Vec<Finding> {
    let source = kernel.source(element, constants);
    let mut findings = Findings::new(&source);
    let module = match parse(&source) {
        Ok(module) => module,
        Err(error) => {
            let offset = error.location(&source).map(|location| location.offset);
            findings.add(Rule::Parse, offset, error.message());
            return findings.into_list();
        }
    };
    // Overrides have no value that could be counted or written before a pipeline is made.
    if !module.overrides.is_empty() {
        findings.add(Rule::Parse, None, "an override: variants are made by constants");
        return findings.into_list();
    }
    let info = match translate::validate(&module, element) {
        Ok(info) => info,
        Err(error) => {
            let mut message = error.as_inner().to_string();
            let mut cause = std::error::Error::source(error.as_inner());
            while let Some(inner) = cause {
                message.push_str(&format!(": {inner}"));
                cause = inner.source();
            }
            let offset = error.location(&source).map(|location| location.offset);
            findings.add(Rule::Validate, offset, message);
            return findings.into_list();
        }
    };
    if limits::check((kernel, constants), &module, &info, &mut findings) {
        uniformity::check(&module, &mut findings);
        // The writers panic on some modules that the validator accepts; the finding names the kernel.
        let written = catch_unwind(AssertUnwindSafe(|| translate::write(&module, &info)));
        match written {
            Ok(faults) => faults.into_iter().for_each(|(rule, message)| findings.add(rule, None, message)),
            Err(_) => findings.add(Rule::Spirv, None, "naga panics while writing this module"),
        }
    }
    findings.into_list()
}
