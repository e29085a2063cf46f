//! Every kernel in every variant is portable, shown without a GPU: it translates for Vulkan, Metal and DX12, keeps within
//! WebGPU's default limits, binds what the table says, and waits at barriers only where the whole workgroup arrives.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use gradus_shaders::{ALL, COOPERATIVE, File, Kernel};
use gradus_tests::portability::{Rule, examine, text};

/// What `Element` may stand for in a kernel: f16 too if its text says `Element`.
fn elements(kernel: &Kernel) -> &'static [&'static str] {
    let half = kernel.files.iter().any(|file| text::without_comments(file.text).contains("Element"));
    if half { &["f32", "f16"] } else { &["f32"] }
}

fn kernels() -> impl Iterator<Item = &'static Kernel> {
    ALL.iter().flat_map(|operation| operation.iter().copied())
}

fn workspace() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

#[test]
fn every_variant_is_portable() {
    let mut faults = BTreeSet::new();
    let mut examined = 0;
    for kernel in kernels() {
        assert!(!kernel.variants.is_empty(), "{} has no variant, not even one without constants", kernel.name);
        for &element in elements(kernel) {
            for constants in kernel.variants {
                examined += 1;
                for finding in examine(kernel, element, constants) {
                    faults.insert(format!("{} {element} {constants:?}: {finding}", kernel.name));
                }
            }
        }
    }
    println!("{examined} variants of {} kernels", kernels().count());
    assert!(examined > 0);
    let list: Vec<_> = faults.into_iter().collect();
    assert!(list.is_empty(), "{} faults in {examined} variants:\n{}", list.len(), list.join("\n"));
}

/// The kernel with a return at the start of `main` that one invocation takes, or `None` if it has no barrier or `main` does
/// not know the invocation.
fn with_early_return(kernel: &Kernel) -> Option<Kernel> {
    let joined: String = kernel.files.iter().map(|file| text::without_comments(file.text)).collect();
    if !["workgroupBarrier", "storageBarrier", "workgroupUniformLoad"].iter().any(|name| joined.contains(name)) {
        return None;
    }
    let main = joined.find("fn main(")?;
    let body = main + joined[main..].find('{')? + 1;
    let arguments = &joined[main..body];
    let lane =
        ["local_invocation_index)", "local_invocation_id)", "global_invocation_id)"].iter().find_map(|builtin| {
            let rest = &arguments[arguments.find(builtin)? + builtin.len()..];
            let (name, ty) = rest.split_once(':')?;
            let part = if ty.trim_start().starts_with("vec3") { ".x" } else { "" };
            Some(format!("{}{part}", name.trim()))
        })?;
    let text = format!("{} if {lane} == 1u {{ return; }} {}", &joined[..body], &joined[body..]);
    let mut files = vec![File { path: "planted/early_return", text: text.leak() }];
    // By this file a kernel is known to need the matrix units; its text is in the other already.
    files.extend(kernel.cooperative().then_some(File { text: "", ..COOPERATIVE }));
    Some(Kernel { files: files.leak(), ..*kernel })
}

#[test]
fn an_early_return_planted_in_any_kernel_that_waits_is_reported() {
    let mut planted = 0;
    for kernel in kernels() {
        let Some(bad) = with_early_return(kernel) else { continue };
        planted += 1;
        let findings = examine(&bad, "f32", kernel.variants[0]);
        // Of cooperative operations naga asks itself that all arrive.
        let reported = findings.iter().any(|finding| {
            finding.rule == Rule::Uniformity
                || finding.rule == Rule::Validate && finding.message.contains("uniformity of control flow")
        });
        assert!(reported, "{}: a return of one invocation went unnoticed: {findings:?}", kernel.name);
    }
    println!("a return planted in {planted} kernels");
    assert!(planted > 0);
}

#[test]
fn names_are_unique() {
    let mut names = BTreeSet::new();
    for kernel in kernels() {
        assert!(names.insert(kernel.name), "two kernels are called {}", kernel.name);
    }
}

#[test]
fn every_file_is_used_and_keeps_the_rules() {
    let root = workspace().join("shaders");
    let used: BTreeMap<_, _> =
        kernels().flat_map(|kernel| kernel.files).map(|file| (file.path.to_string(), file.text)).collect();
    let mut faults = Vec::new();
    let files = text::files_below(&root, "wgsl").expect("the folder of the shaders can be read");
    assert!(!files.is_empty(), "no WGSL below {}", root.display());
    for file in files {
        let path = file.strip_prefix(&root).expect("it is below").to_string_lossy().replace('\\', "/");
        if !used.contains_key(&path) {
            faults.push(format!("{path}: no kernel uses this file"));
        }
        let content = fs::read_to_string(&file).expect("a WGSL file can be read");
        faults.extend(text::examine(&path, &content).iter().map(ToString::to_string));
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn shaders_stand_in_wgsl_files_alone() {
    let root = workspace();
    let mut faults = Vec::new();
    let mut seen = 0;
    for member in ["shaders", "engine", "models", "trainer", "fit"] {
        for file in text::files_below(&root.join(member).join("src"), "rs").expect("the sources can be read") {
            seen += 1;
            let content = fs::read_to_string(&file).expect("a source file can be read");
            // Comments by their first characters alone: what looks like one inside a string must not hide the rest.
            let code = content.lines().enumerate().filter(|(_, line)| !line.trim_start().starts_with("//"));
            for (number, _) in code.filter(|(_, line)| line.contains("@compute")) {
                faults.push(format!("{}:{}: a shader inside Rust", file.display(), number + 1));
            }
        }
    }
    assert!(seen > 20, "only {seen} source files found below {}", root.display());
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}
