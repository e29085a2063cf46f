//! Where the sources of the crates are on this machine.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use cargo_metadata::{CargoOpt, Metadata, MetadataCommand};

/// The workspace that this program was built from, where it still exists.
pub const WORKSPACE_MANIFEST: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../Cargo.toml");

/// Folders of crates, by name and version.
pub type Folders = BTreeMap<(String, String), PathBuf>;

/// Cargo's own folder: `CARGO_HOME`, else `.cargo` in the user's folder.
pub fn cargo_home() -> Option<PathBuf> {
    match std::env::var_os("CARGO_HOME") {
        Some(home) if !home.is_empty() => Some(home.into()),
        _ => directories::BaseDirs::new().map(|folders| folders.home_dir().join(".cargo")),
    }
}

/// Looks for the crates where cargo unpacks them: `registry/src/REGISTRY/NAME-VERSION`.
pub fn from_registry(cargo_home: &Path, crates: &[(&str, &str)]) -> Folders {
    let mut registries: Vec<PathBuf> = std::fs::read_dir(cargo_home.join("registry").join("src"))
        .map(|entries| entries.flatten().map(|entry| entry.path()).collect())
        .unwrap_or_default();
    registries.sort();
    let find = |(name, version): &(&str, &str)| {
        let folder = registries
            .iter()
            .map(|registry| registry.join(format!("{name}-{version}")))
            .find(|folder| folder.is_dir())?;
        Some(((name.to_string(), version.to_string()), folder))
    };
    crates.iter().filter_map(find).collect()
}

/// Asks cargo where the dependencies of the workspace are, vendored ones too, without a network.
pub fn from_metadata(manifest: &Path, crates: &[(&str, &str)]) -> Folders {
    let Some(metadata) = metadata(manifest) else {
        return Folders::new();
    };
    let packages = metadata.packages.into_iter();
    let found = packages.filter_map(|package| {
        let (name, version) = (package.name.to_string(), package.version.to_string());
        let wanted = crates.iter().any(|wanted| *wanted == (&name, &version));
        let folder = package.manifest_path.parent()?.as_std_path().to_owned();
        wanted.then_some(((name, version), folder))
    });
    found.collect()
}

/// `cargo metadata --offline --filter-platform HOST`; nothing where there is no cargo.
pub fn metadata(manifest: &Path) -> Option<Metadata> {
    let rustc = Command::new("rustc").arg("-vV").output().ok()?;
    let described = String::from_utf8(rustc.stdout).ok()?;
    let host = described.lines().find_map(|line| line.strip_prefix("host: "))?;
    let mut command = MetadataCommand::new();
    command.manifest_path(manifest).features(CargoOpt::SomeFeatures(Vec::new()));
    command.other_options(["--offline", "--filter-platform", host].map(String::from));
    command.exec().ok()
}
