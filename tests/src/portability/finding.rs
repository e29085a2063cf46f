//! What is reported, and where in which file it is.

use std::fmt;

/// What a kernel violates.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Rule {
    /// It is WGSL.
    Parse,
    /// It is valid, without any optional capability but the element type's.
    Validate,
    /// It can be written as SPIR-V, for Vulkan.
    Spirv,
    /// It can be written as MSL, for Metal.
    Msl,
    /// It can be written as HLSL, for DX12.
    Hlsl,
    /// One compute entry point called `main`.
    EntryPoint,
    /// Workgroup memory within the default limit.
    WorkgroupMemory,
    /// Invocations of a workgroup within the default limits.
    Invocations,
    /// Bindings are those that the table declares, each used as declared.
    Bindings,
    /// Binding 0 is the uniform structure `parameters`.
    Parameters,
    /// No atomic of a floating-point type: the order of its sums varies from run to run.
    FloatAtomic,
    /// All invocations of a workgroup arrive at a barrier, all of a subgroup at a subgroup's operation.
    Uniformity,
    /// The text of a file: length, comment at its head, functions that overflow, and what only the engine may write.
    Text,
}

/// One violation.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Finding {
    /// The rule.
    pub rule: Rule,
    /// File and line; empty if it concerns the whole kernel.
    pub place: String,
    /// What is wrong.
    pub message: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let gap = if self.place.is_empty() { "" } else { ": " };
        write!(f, "{}{gap}{:?}: {}", self.place, self.rule, self.message)
    }
}

/// The violations of one joined source.
pub(super) struct Findings<'a> {
    source: &'a str,
    list: Vec<Finding>,
}

impl<'a> Findings<'a> {
    pub(super) fn new(source: &'a str) -> Self {
        Self { source, list: Vec::new() }
    }

    /// Adds a violation at a byte of the source, once.
    pub(super) fn add(&mut self, rule: Rule, offset: Option<u32>, message: impl Into<String>) {
        let place = offset.map(|offset| self.place(offset)).unwrap_or_default();
        let finding = Finding { rule, place, message: message.into() };
        if !self.list.contains(&finding) {
            self.list.push(finding);
        }
    }

    /// File and line of a byte, by the marks that stand before each joined file.
    pub(super) fn place(&self, offset: u32) -> String {
        let (mut file, mut line) = ("head", 0);
        let before = self.source.get(..offset as usize).unwrap_or(self.source);
        for text in before.split('\n') {
            line += 1;
            if let Some(path) = text.strip_prefix("// ---- ").and_then(|rest| rest.strip_suffix(" ----")) {
                (file, line) = (path, 0);
            }
        }
        format!("{file}:{line}")
    }

    pub(super) fn into_list(mut self) -> Vec<Finding> {
        self.list.sort();
        self.list
    }
}
