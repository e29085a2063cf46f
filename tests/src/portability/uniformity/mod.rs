//! Whether all invocations of a workgroup arrive at each barrier.
//!
//! An abstract run of the entry point over naga's statements. Every value has a level: the same for the whole workgroup, the
//! same for each subgroup, or each invocation's own. Control flow has a level as well: that of the conditions that led to a
//! place. Conditions are left behind after a branch that always falls through; a `break`, `continue` or `return` in a branch
//! makes all that follows depend on its condition, up to the end of the loop or of the function (as in WGSL's own
//! uniformity analysis). A variable takes the level of what is stored in it and of the control flow it is stored under.
//! Loops are repeated until no level rises; functions are run anew for the levels of each call's arguments.
//!
//! Each invocation's own: its identifiers, what is loaded from memory that is written meanwhile (workgroup memory, buffers
//! that are read_write), atomics. The same for all: workgroup identifiers, uniforms, buffers that are only read, at places
//! that are the same for all, and what `workgroupUniformLoad` gives.

mod control;
mod function;
mod value;

use std::collections::HashMap;

use naga::{Binding, BuiltIn, FunctionArgument, Handle, Module, TypeInner};

use super::Rule;
use super::finding::Findings;
use function::{Run, Summary};

/// Among whom a value, or the way to a place, is the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
enum Level {
    /// The same for all invocations of a workgroup.
    Workgroup,
    /// The same for all invocations of a subgroup.
    Subgroup,
    /// Each invocation's own.
    Invocation,
}

/// The level of the way to a place, and the byte of the condition that raised it.
#[derive(Debug, Clone, Copy)]
struct Control {
    level: Level,
    cause: Option<u32>,
}

impl Control {
    const UNIFORM: Self = Self { level: Level::Workgroup, cause: None };

    fn max(self, other: Self) -> Self {
        if other.level > self.level { other } else { self }
    }
}

/// What the runs of all functions share.
struct Shared<'a, 'b, 'c> {
    module: &'a Module,
    findings: &'b mut Findings<'c>,
    /// Runs already done: a function, the levels of its arguments, the level of the way to the call.
    done: HashMap<(Handle<naga::Function>, Vec<Level>, Level), Summary>,
}

impl Shared<'_, '_, '_> {
    /// Reports an operation that not all of the wanted invocations arrive at.
    fn arrive(&mut self, operation: &str, wanted: Level, control: Control, offset: Option<u32>) {
        if control.level <= wanted {
            return;
        }
        let cause = control.cause.map(|cause| format!(" (condition at {})", self.findings.place(cause)));
        let message = format!("{operation} where control flow is not uniform{}", cause.unwrap_or_default());
        self.findings.add(Rule::Uniformity, offset, message);
    }
}

/// Runs the entry point and adds what it finds.
pub(super) fn check(module: &Module, findings: &mut Findings) {
    let mut shared = Shared { module, findings, done: HashMap::new() };
    for entry in &module.entry_points {
        let arguments = entry.function.arguments.iter().map(|argument| argument_level(module, argument)).collect();
        Run::new(&mut shared, &entry.function, arguments).whole(Control::UNIFORM);
    }
}

fn argument_level(module: &Module, argument: &FunctionArgument) -> Level {
    match (&argument.binding, &module.types[argument.ty].inner) {
        (Some(binding), _) => binding_level(binding),
        (None, TypeInner::Struct { members, .. }) => {
            let levels = members.iter().map(|member| member.binding.as_ref().map_or(Level::Invocation, binding_level));
            levels.max().unwrap_or(Level::Invocation)
        }
        (None, _) => Level::Invocation,
    }
}

fn binding_level(binding: &Binding) -> Level {
    match binding {
        Binding::BuiltIn(
            BuiltIn::WorkGroupId
            | BuiltIn::NumWorkGroups
            | BuiltIn::WorkGroupSize
            | BuiltIn::NumSubgroups
            | BuiltIn::SubgroupSize,
        ) => Level::Workgroup,
        Binding::BuiltIn(BuiltIn::SubgroupId) => Level::Subgroup,
        _ => Level::Invocation,
    }
}
