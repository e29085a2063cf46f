//! The WGSL kernels of gradus: plain text files and the table of programs made from them.
//!
//! A program is a list of files joined in order. The engine puts a generated head before them: `enable` lines, the alias
//! `Element` and the constants of the variant. Files hold no `enable`, since it must come first.

mod table;

pub use table::*;

/// One WGSL file.
#[derive(Debug, Clone, Copy)]
pub struct File {
    /// The path below `shaders/`.
    pub path: &'static str,
    /// The content.
    pub text: &'static str,
}

/// How a kernel uses a storage buffer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Access {
    /// `var<storage, read>`
    Read,
    /// `var<storage, read_write>`
    ReadWrite,
}

/// A constant of a variant, emitted as `const NAME: u32 = VALUEu;`.
pub type Constant = (&'static str, u32);

/// One program: what is bound, which files it is made of, and the variants it comes in.
///
/// Binding 0 is the uniform `parameters`; storage buffers follow from binding 1 in the order of `bindings`.
/// The entry point is `main`.
#[derive(Debug, Clone, Copy)]
pub struct Kernel {
    /// The operation's folder and the kernel's name, for instance `rms_norm/forward`.
    pub name: &'static str,
    /// The files, joined in this order.
    pub files: &'static [File],
    /// How each storage buffer is used.
    pub bindings: &'static [Access],
    /// Sets of constants that the kernel is run with, for the test that translates every variant. Where a constant may be
    /// any number, typical and extreme values stand for it.
    pub variants: &'static [&'static [Constant]],
}

impl Kernel {
    /// The whole text of a variant. `element` is `f32` or `f16`.
    pub fn source(&self, element: &str, constants: &[Constant]) -> String {
        let mut text = String::new();
        if element == "f16" {
            text.push_str("enable f16;\n");
        }
        text.push_str(&format!("alias Element = {element};\n"));
        for (name, value) in constants {
            text.push_str(&format!("const {name}: u32 = {value}u;\n"));
        }
        for file in self.files {
            text.push_str(&format!("\n// ---- {} ----\n", file.path));
            text.push_str(file.text);
        }
        text
    }
}
