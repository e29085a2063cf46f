//! Elementwise functions of one input. Kernels in pairs work on single elements and on fours.

use super::*;

const EACH_1: File = file!("unary/each_1.wgsl");
const EACH_4: File = file!("unary/each_4.wgsl");

/// One function's kernels.
#[derive(Debug)]
pub struct Unary {
    /// y from x.
    pub forward: [Kernel; 2],
    /// d_x from x or y, and d_y.
    pub backward: [Kernel; 2],
}

macro_rules! functions {
    ($(#[$doc:meta] $id:ident $name:literal,)*) => {
        $(#[$doc] pub static $id: Unary = Unary {
            forward: [
                forward(concat!("unary/", $name, "_forward_1"), &[
                    INDEX, FLOAT, PACK_1, EACH_1, file!(concat!("unary/", $name, ".wgsl")), file!("unary/forward.wgsl"),
                ]),
                forward(concat!("unary/", $name, "_forward_4"), &[
                    INDEX, FLOAT, PACK_4, EACH_4, file!(concat!("unary/", $name, ".wgsl")), file!("unary/forward.wgsl"),
                ]),
            ],
            backward: [
                backward(concat!("unary/", $name, "_backward_1"), &[
                    INDEX, FLOAT, PACK_1, EACH_1, file!(concat!("unary/", $name, ".wgsl")), file!("unary/backward.wgsl"),
                ]),
                backward(concat!("unary/", $name, "_backward_4"), &[
                    INDEX, FLOAT, PACK_4, EACH_4, file!(concat!("unary/", $name, ".wgsl")), file!("unary/backward.wgsl"),
                ]),
            ],
        };)*
        pub(super) const ALL: &[&Kernel] =
            &[$(&$id.forward[0], &$id.forward[1], &$id.backward[0], &$id.backward[1],)*];
    };
}

const fn forward(name: &'static str, files: &'static [File]) -> Kernel {
    Kernel { name, files, bindings: &[Read, ReadWrite], variants: &[&[]] }
}

const fn backward(name: &'static str, files: &'static [File]) -> Kernel {
    Kernel { name, files, bindings: &[Read, Read, ReadWrite], variants: &[&[]] }
}

functions! {
    /// 1 / (1 + e^−x)
    SIGMOID "sigmoid",
    /// c · tanh(x / c)
    SOFT_CAP "soft_cap",
    /// tanh x
    TANH "tanh",
    /// e^x
    EXP "exp",
    /// ln x
    LOG "log",
    /// √x
    SQRT "sqrt",
    /// x · σ(x)
    SILU "silu",
    /// GELU in its tanh form
    GELU "gelu",
    /// ln σ(x)
    LOG_SIGMOID "log_sigmoid",
    /// ln(1 + e^x)
    SOFTPLUS "softplus",
    /// c · x
    SCALE "scale",
    /// x²
    SQUARE "square",
    /// x^c
    POWER "power",
}
