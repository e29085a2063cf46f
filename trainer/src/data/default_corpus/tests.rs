use std::collections::BTreeSet;

use cargo_metadata::{DependencyKind, Metadata, PackageId};

use super::*;

fn manifest() -> &'static Path {
    Path::new(sources::WORKSPACE_MANIFEST)
}

#[test]
fn the_list_is_that_of_the_lock_file() {
    let lock: toml::Table = include_str!("../../../../Cargo.lock").parse().unwrap();
    let locked: BTreeSet<(String, String)> = lock["package"]
        .as_array()
        .unwrap()
        .iter()
        .map(|package| ["name", "version"].map(|key| package[key].as_str().unwrap().to_string()).into())
        .collect();
    for (name, version) in CRATES {
        assert!(locked.contains(&(name.into(), version.into())), "{name} {version} is not in Cargo.lock");
    }
    let names: BTreeSet<&str> = CRATES.iter().map(|(name, _)| *name).collect();
    assert_eq!(names.len(), CRATES.len(), "one version of each crate");
}

/// What the packages of the workspace need on every platform: normal dependencies without a target.
fn unconditional(metadata: &Metadata) -> BTreeSet<&PackageId> {
    let nodes = &metadata.resolve.as_ref().unwrap().nodes;
    let mut found = BTreeSet::new();
    let mut open: Vec<&PackageId> = metadata.workspace_members.iter().collect();
    while let Some(id) = open.pop() {
        if found.insert(id) {
            let node = nodes.iter().find(|node| node.id == *id).unwrap();
            let needed = node.deps.iter().filter(|dependency| {
                dependency.dep_kinds.iter().any(|kind| kind.kind == DependencyKind::Normal && kind.target.is_none())
            });
            open.extend(needed.map(|dependency| &dependency.pkg));
        }
    }
    found
}

#[test]
fn every_crate_is_needed_on_every_platform() {
    let metadata = sources::metadata(manifest()).expect("cargo runs this test");
    let needed: BTreeSet<(String, String)> = unconditional(&metadata)
        .into_iter()
        .map(|id| (metadata[id].name.to_string(), metadata[id].version.to_string()))
        .collect();
    for (name, version) in CRATES {
        assert!(needed.contains(&(name.into(), version.into())), "{name} {version} is not an unconditional dependency");
    }
    // The walk can fail: a dependency for Linux alone and one for Windows alone are not in it.
    assert!(metadata.packages.iter().any(|package| package.name == "ash"));
    assert!(!needed.iter().any(|(name, _)| name == "windows" || name == "ash"));
}

#[test]
fn cargo_and_the_registry_folder_name_the_same_sources() {
    let asked = sources::from_metadata(manifest(), &CRATES);
    assert_eq!(asked.len(), CRATES.len());
    let seen = sources::from_registry(&sources::cargo_home().unwrap(), &CRATES);
    for (name, folder) in seen {
        assert_eq!(asked[&name], folder);
    }
}

#[test]
fn the_text_is_assembled_once_and_then_read() {
    let cache = tempfile::tempdir().unwrap();
    let home = sources::cargo_home();
    let first = open_with(Some(cache.path()), home.as_deref(), manifest()).unwrap();
    assert_eq!((first.train.sha256().as_str(), first.validation.sha256().as_str()), (TRAIN_SHA256, VALIDATION_SHA256));
    let folder = first.folder.unwrap();
    assert!(first.notes[0].contains(&folder.display().to_string()), "{:?}", first.notes);
    // About 20 MB, a twentieth of it held out.
    assert!((18_000_000..26_000_000).contains(&first.train.len()), "{}", first.train.len());
    let share = first.validation.len() as f64 / first.train.len() as f64;
    assert!((0.03..0.08).contains(&share), "{share}");

    // A second start needs no cargo and says nothing.
    let nowhere = cache.path().join("nowhere");
    let second = open_with(Some(cache.path()), Some(&nowhere), &nowhere).unwrap();
    assert_eq!((second.train.sha256().as_str(), second.notes.len()), (TRAIN_SHA256, 0));

    // A damaged text is not used, and is made anew where cargo is there.
    let mut damaged = fs::read(folder.join(VALIDATION_FILE)).unwrap();
    damaged[1000] ^= 1;
    drop(second);
    fs::write(folder.join(VALIDATION_FILE), &damaged).unwrap();
    assert!(open_with(Some(cache.path()), Some(&nowhere), &nowhere).is_err());
    open_with(Some(cache.path()), home.as_deref(), manifest()).unwrap();
    assert!(open_with(Some(cache.path()), Some(&nowhere), &nowhere).is_ok());
}

#[test]
fn without_cargo_and_cache_the_message_says_how_to_name_data() {
    let empty = tempfile::tempdir().unwrap();
    let nowhere = empty.path().join("nowhere");
    let error = open_with(Some(empty.path()), Some(&nowhere), &nowhere).unwrap_err();
    assert!(error.to_string().contains("crates are missing"), "{error}");
    assert!(error.hint().unwrap().contains("--data"));
    assert_eq!(error.exit_code(), 1);
}

#[test]
fn a_cache_that_cannot_be_written_does_not_stop_the_run() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    fs::write(&file, "").unwrap();
    // A file stands where the cache folder should be.
    let corpus = open_with(Some(&file), sources::cargo_home().as_deref(), manifest()).unwrap();
    assert_eq!(corpus.folder, None);
    assert!(corpus.notes[0].contains("was not kept"), "{:?}", corpus.notes);
}
