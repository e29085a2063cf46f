//! The WGSL kernels of gradus: plain text files and the table of programs made from them.
//!
//! A program is a list of files joined in order. The engine puts a generated head before them: `enable` lines, the alias
//! `Element` and the constants of the variant. Files hold no `enable`, since it must come first. A loop marked `// unrolled` is
//! written out on the way, so that arrays that it indexes stay in registers.

mod table;
mod unroll;

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

/// The binding of the uniform by which a part of a dispatch knows its first workgroup; only kernels that split have it.
pub const PART_BINDING: u32 = 8;

impl Kernel {
    /// Whether a dispatch may run as several over ranges of its workgroups: it finds its place by `flat_workgroup`.
    pub fn splits(&self) -> bool {
        self.files.iter().any(|file| file.path == INDEX.path)
    }

    /// Whether the kernel computes with the GPU's matrix units, and so in f16 on an adapter that has them.
    pub fn cooperative(&self) -> bool {
        self.files.iter().any(|file| file.path == COOPERATIVE.path)
    }

    /// Whether this is one of our own kernels, which are run without wgpu's run-time checks: the tests have shown that they
    /// keep to their tensors.
    pub fn is_ours(&self) -> bool {
        self.listed().is_some()
    }

    /// Whether the kernel is faster with wgpu's run-time checks, which it then keeps: the products on matrix units. The driver
    /// schedules the checked text otherwise: on an H100 n = 4096 reads 245 TFLOP/s with them and 195 without, n = 1024, in
    /// small tiles, 92 and 83. The products in f32 (38 and 43) lose by them.
    pub fn keeps_checks(&self) -> bool {
        self.files.iter().any(|file| file.path == matmul::ON_UNITS.path)
    }

    /// The kernel of [`ALL`] with this name, these texts and these bindings. Addresses say nothing: the compiler may put what
    /// constants refer to into every crate that reads them.
    pub fn listed(&self) -> Option<&'static Kernel> {
        let same_text = |(one, other): (&File, &File)| one.path == other.path && one.text == other.text;
        let same = |kernel: &Kernel| {
            kernel.name == self.name
                && kernel.bindings == self.bindings
                && kernel.files.len() == self.files.len()
                && kernel.files.iter().zip(self.files).all(same_text)
        };
        ALL.iter().flat_map(|operation| operation.iter()).copied().find(|kernel| same(kernel))
    }

    /// The file and the line in it of a line of [`Kernel::source`], both from 1 on; the first lines are generated.
    pub fn locate(&self, element: &str, constants: &[Constant], line: usize) -> (&'static str, usize) {
        let mut first = self.head(element, constants).lines().count();
        let mut found = ("the generated head", line);
        for file in self.files {
            // A blank line and the line that names the file come before each.
            first += 2;
            if line > first {
                found = (file.path, line - first);
            }
            first += file.text.lines().count();
        }
        found
    }

    fn head(&self, element: &str, constants: &[Constant]) -> String {
        let mut text = String::new();
        if element == "f16" || self.cooperative() {
            text.push_str("enable f16;\n");
        }
        if self.cooperative() {
            text.push_str("enable wgpu_cooperative_matrix;\n");
        }
        text.push_str(&format!("alias Element = {element};\n"));
        for (name, value) in constants {
            text.push_str(&format!("const {name}: u32 = {value}u;\n"));
        }
        text
    }

    /// The whole text of a variant, its marked loops written out (`unroll`). `element` is `f32` or `f16`.
    pub fn source(&self, element: &str, constants: &[Constant]) -> String {
        let mut text = self.head(element, constants);
        for file in self.files {
            text.push_str(&format!("\n// ---- {} ----\n", file.path));
            text.push_str(file.text);
            if !file.text.ends_with('\n') {
                text.push('\n');
            }
        }
        unroll::unroll(text)
    }
}
