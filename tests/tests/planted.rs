//! The checks of portability can fail: kernels with one planted mistake each are reported, and for that mistake alone.

use gradus_shaders::Access::{self, Read, ReadWrite};
use gradus_shaders::{File, Kernel};
use gradus_tests::portability::{Rule, examine, text};

const BINDINGS: &[Access] = &[Read, ReadWrite];

macro_rules! planted {
    ($name:literal) => {
        Kernel {
            name: $name,
            files: &[File {
                path: concat!($name, ".wgsl"),
                text: include_str!(concat!("../planted/", $name, ".wgsl")),
            }],
            bindings: BINDINGS,
            variants: &[&[]],
        }
    };
}

/// The kernels with a mistake, the rule it breaks, and a word of the line that must be named; empty if none can be.
const BAD: &[(Kernel, Rule, &str)] = &[
    (planted!("barrier_in_branch"), Rule::Uniformity, "workgroupBarrier"),
    (planted!("barrier_after_return"), Rule::Uniformity, "workgroupBarrier"),
    (planted!("barrier_in_loop"), Rule::Uniformity, "workgroupBarrier"),
    (planted!("barrier_after_break"), Rule::Uniformity, "storageBarrier"),
    (planted!("barrier_after_continue"), Rule::Uniformity, "workgroupBarrier"),
    (planted!("barrier_in_function"), Rule::Uniformity, "workgroupBarrier"),
    (planted!("barrier_by_variable"), Rule::Uniformity, "workgroupBarrier"),
    (planted!("barrier_by_workgroup_memory"), Rule::Uniformity, "workgroupBarrier"),
    (planted!("barrier_by_written_buffer"), Rule::Uniformity, "workgroupBarrier"),
    (planted!("uniform_load_in_branch"), Rule::Uniformity, "workgroupUniformLoad"),
    (planted!("too_much_memory"), Rule::WorkgroupMemory, ""),
    (planted!("too_many_invocations"), Rule::Invocations, ""),
    (planted!("wrong_access"), Rule::Bindings, "x: array"),
    (planted!("missing_binding"), Rule::Bindings, "y: array"),
    (planted!("unwritten_output"), Rule::Bindings, "y: array"),
    (planted!("matrix_parameter"), Rule::Parameters, "parameters: Parameters"),
    (planted!("subgroup_capability"), Rule::Validate, "subgroupAdd"),
];

#[test]
fn planted_mistakes_are_reported() {
    let mut faults = Vec::new();
    for (kernel, rule, word) in BAD {
        let findings = examine(kernel, "f32", &[]);
        let shown: Vec<_> = findings.iter().map(ToString::to_string).collect();
        if findings.is_empty() || findings.iter().any(|finding| finding.rule != *rule) {
            faults.push(format!("{}: wanted {rule:?}, found {shown:?}", kernel.name));
            continue;
        }
        // Of a kernel's findings one names the line; others may speak of the whole (a binding that is missing).
        let lines: Vec<_> = kernel.files[0].text.lines().collect();
        let named = findings.iter().any(|finding| {
            let number = finding.place.rsplit(':').next().and_then(|number| number.parse::<usize>().ok());
            number.and_then(|number| lines.get(number.wrapping_sub(1))).is_some_and(|line| line.contains(word))
        });
        if !word.is_empty() && !named {
            faults.push(format!("{}: no line with `{word}` is named in {shown:?}", kernel.name));
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn good_kernels_pass() {
    for kernel in [planted!("good_reduction"), planted!("good_uniform_exits")] {
        let findings: Vec<_> = examine(&kernel, "f32", &[]).iter().map(ToString::to_string).collect();
        assert!(findings.is_empty(), "{}: {findings:?}", kernel.name);
        let findings = text::examine(kernel.files[0].path, kernel.files[0].text);
        assert!(findings.is_empty(), "{}: {findings:?}", kernel.name);
    }
}

#[test]
fn eight_storage_buffers_are_one_too_many() {
    let kernel = Kernel { bindings: &[Read; 8], ..planted!("good_reduction") };
    let findings = examine(&kernel, "f32", &[]);
    assert!(findings.iter().any(|finding| finding.message.starts_with("8 storage buffers")), "{findings:?}");
}

#[test]
fn forbidden_text_is_reported() {
    let source = include_str!("../planted/overflowing_text.wgsl");
    let places =
        |path: &str| -> Vec<_> { text::examine(path, source).into_iter().map(|finding| finding.place).collect() };
    // `enable`, arrayLength, exp, and a head of one line.
    assert_eq!(places("a/b.wgsl"), ["a/b.wgsl:2", "a/b.wgsl:9", "a/b.wgsl:10", "a/b.wgsl:1"]);
    // The prelude may call exp.
    assert_eq!(places("prelude/b.wgsl"), ["prelude/b.wgsl:2", "prelude/b.wgsl:9", "prelude/b.wgsl:1"]);
    let long = "// a line\n".repeat(300);
    assert_eq!(text::examine("a/b.wgsl", &long).len(), 1);
    assert!(text::examine("a/b.wgsl", &"// a line\n".repeat(299)).is_empty());
}

#[test]
fn comments_are_no_code() {
    assert_eq!(text::without_comments("a /* b\n c */ d // e\nf"), "a \n d \nf");
}
