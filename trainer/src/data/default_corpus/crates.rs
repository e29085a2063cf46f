//! The crates whose sources are the default text.

/// Name and version, sorted: what every machine that builds this program has, because they are
/// normal dependencies without a condition on the platform. The versions are those of
/// `Cargo.lock`. One version of each crate, so that validation text is not in the training text
/// under another version; no crates that are mostly tables or generated code.
pub const CRATES: [(&str, &str); 39] = [
    ("bitflags", "2.13.2"),
    ("bytemuck", "1.25.2"),
    ("clap_builder", "4.6.7"),
    ("clap_derive", "4.6.9"),
    ("codespan-reporting", "0.13.1"),
    ("crossbeam-deque", "0.8.8"),
    ("crossbeam-epoch", "0.9.21"),
    ("crossbeam-utils", "0.8.23"),
    ("gemm-common", "0.19.0"),
    ("half", "2.7.1"),
    ("hashbrown", "0.17.1"),
    ("indexmap", "2.14.2"),
    ("indicatif", "0.18.6"),
    ("lock_api", "0.4.14"),
    ("log", "0.4.35"),
    ("memchr", "2.8.3"),
    ("memmap2", "0.9.12"),
    ("naga", "30.0.1"),
    ("num-traits", "0.2.19"),
    ("parking_lot", "0.12.5"),
    ("parking_lot_core", "0.9.12"),
    ("plotters", "0.3.7"),
    ("proc-macro2", "1.0.107"),
    ("rand", "0.9.5"),
    ("rayon", "1.12.0"),
    ("rayon-core", "1.13.0"),
    ("safetensors", "0.8.0"),
    ("serde", "1.0.229"),
    ("serde_core", "1.0.229"),
    ("serde_derive", "1.0.229"),
    ("serde_json", "1.0.154"),
    ("smallvec", "1.16.6"),
    ("syn", "3.0.10"),
    ("toml", "1.2.1+spec-1.1.0"),
    ("toml_parser", "1.1.5+spec-1.1.0"),
    ("wgpu", "30.0.1"),
    ("wgpu-core", "30.0.1"),
    ("wgpu-hal", "30.0.1"),
    ("wgpu-types", "30.0.1"),
];

/// SHA-256 of the training text made from [`CRATES`].
pub const TRAIN_SHA256: &str = "d5aa7d94a4ec8fd6ba7693649fa78b42db3b6a5a18e56820b652af3f42fc6fb6";
/// SHA-256 of the validation text made from [`CRATES`].
pub const VALIDATION_SHA256: &str = "3bea926a35782a6fb99257165339f6406de41920f80d6f09166ef4f80c0003ec";
