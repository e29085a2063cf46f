//! A look at a user's kernel before the driver sees it: that it compiles, and that it binds what it declares. What is wrong
//! is said with the line of the user's own file.

use std::collections::BTreeMap;

use gradus_shaders::{Access, Constant, Kernel, PART_BINDING};
use wgpu::naga::{self, AddressSpace, StorageAccess};

use crate::error::{Error, Result};

/// # Errors
/// [`Error::Kernel`] with the file, the line and what was expected.
pub(super) fn inspect(kernel: &Kernel, element: &str, constants: &[Constant]) -> Result<()> {
    let source = kernel.source(element, constants);
    let at = |offset: usize| {
        let line = source[..offset.min(source.len())].lines().count().max(1);
        let (file, line) = kernel.locate(element, constants, line);
        format!("{file}:{line}")
    };
    let refuse = |message: String| Err(Error::Kernel { kernel: kernel.name.into(), message });
    let module = match naga::front::wgsl::parse_str(&source) {
        Ok(module) => module,
        Err(error) => {
            let location = error.location(&source);
            let place = location.map(|place| at(place.offset as usize + 1)).unwrap_or_else(|| "the text".into());
            let text = location.and_then(|place| source[place.offset as usize..].lines().next());
            let text = text.map(|text| format!(", at `{}`", text.trim())).unwrap_or_default();
            return refuse(format!("{place}: {}{text}", error.message()));
        }
    };
    let mut validator =
        naga::valid::Validator::new(naga::valid::ValidationFlags::all(), naga::valid::Capabilities::all());
    if let Err(error) = validator.validate(&module) {
        let place = error.location(&source).map(|place| at(place.offset as usize + 1));
        let mut message = error.as_inner().to_string();
        let mut cause = std::error::Error::source(error.as_inner());
        while let Some(inner) = cause {
            message.push_str(&format!(": {inner}"));
            cause = inner.source();
        }
        return refuse(format!("{}: {message}", place.unwrap_or_else(|| "the text".into())));
    }
    let mut entries = module.entry_points.iter();
    if !entries.any(|entry| entry.name == "main" && entry.stage == naga::ShaderStage::Compute) {
        return refuse("it has no compute entry point called `main`".into());
    }
    let mut expected: BTreeMap<u32, String> =
        (1..).zip(kernel.bindings).map(|(n, access)| (n, storage(access))).collect();
    expected.insert(0, "var<uniform>".into());
    if kernel.splits() {
        expected.insert(PART_BINDING, "var<uniform>".into());
    }
    let listed = || {
        let each = expected.iter().map(|(number, kind)| format!("@binding({number}) {kind}"));
        format!("expected in @group(0): {}", each.collect::<Vec<_>>().join(", "))
    };
    let mut missing = expected.clone();
    for (handle, variable) in module.global_variables.iter() {
        let Some(binding) = variable.binding else { continue };
        let place = module.global_variables.get_span(handle).to_range().map_or(0, |range| range.start + 1);
        let found = match variable.space {
            AddressSpace::Uniform => "var<uniform>".into(),
            AddressSpace::Storage { access } if access.contains(StorageAccess::STORE) => storage(&Access::ReadWrite),
            AddressSpace::Storage { .. } => storage(&Access::Read),
            other => format!("{other:?}"),
        };
        let name = variable.name.as_deref().unwrap_or("?");
        let (place, group, number) = (at(place), binding.group, binding.binding);
        if group != 0 || expected.get(&number) != Some(&found) {
            return refuse(format!("{place}: `{name}` is @group({group}) @binding({number}) {found}; {}", listed()));
        }
        if missing.remove(&number).is_none() {
            return refuse(format!("{place}: `{name}` is a second variable at @binding({number}); {}", listed()));
        }
    }
    // A kernel may do without parameters.
    missing.remove(&0);
    match missing.keys().next() {
        Some(number) => refuse(format!("no variable has @binding({number}); {}", listed())),
        None => Ok(()),
    }
}

fn storage(access: &Access) -> String {
    match access {
        Access::Read => "var<storage, read>".into(),
        Access::ReadWrite => "var<storage, read_write>".into(),
    }
}
