//! The tables of docs/configuration.md, a row a key, from the table of keys: the document says neither less nor more.

use std::path::Path;

use gradus_models::configuration::presets;
use toml::Value;

use super::document::value_at;
use super::keys::{KEYS, Key, SECTIONS};
use super::layers::{Flags, Layers, ModelBase};
use super::writing;

/// The value of a key where nobody gives one: that of every preset, if it is the same.
fn default(key: &Key) -> String {
    if key.section == "model" {
        return "by the model".into();
    }
    let layers = Layers::read(None, Flags::default()).unwrap();
    let values = presets::names().map(|name| {
        let configuration = layers.resolve(ModelBase::Preset(name.into()), 256).unwrap();
        value_at(&writing::sections(&configuration).unwrap(), key.section, key.name).cloned()
    });
    let mut values: Vec<Option<Value>> = values.collect();
    values.dedup();
    match values.as_slice() {
        [Some(value)] => format!("`{value}`"),
        [None] => "unset".into(),
        _ => "by the model".into(),
    }
}

fn row(key: &Key) -> String {
    let cells = [format!("`{}`", key.name), key.kind.allowed(), default(key), key.meaning.into()];
    format!("| {} |", cells.map(|cell| cell.replace('|', "\\|")).join(" | "))
}

#[test]
fn the_document_has_every_key_and_no_other() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/configuration.md");
    let document = std::fs::read_to_string(&path).unwrap();
    for section in SECTIONS {
        let expected: Vec<String> = KEYS.iter().filter(|key| key.section == section).map(row).collect();
        let heading = format!("\n### [{section}]\n");
        let start = document.find(&heading).unwrap_or_else(|| panic!("no section `{}`", heading.trim()));
        let rest = &document[start + heading.len()..];
        let part = &rest[..rest.find("\n#").unwrap_or(rest.len())];
        let rows: Vec<&str> = part.lines().filter(|line| line.starts_with("| `")).collect();
        assert_eq!(rows, expected, "{} should say of [{section}]:\n{}\n", path.display(), expected.join("\n"));
    }
    let tables = &document[document.find("\n## Every key\n").unwrap()..];
    let rows = tables.lines().filter(|line| line.starts_with("| `")).count();
    assert_eq!(rows, KEYS.len(), "rows of keys outside their section");
}
