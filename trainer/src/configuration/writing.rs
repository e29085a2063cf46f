//! A resolved configuration as a TOML file with a comment on every key.

use std::fmt::Write;

use serde::Serialize;
use toml::{Table, Value};

use super::Configuration;
use super::document::Document;
use super::keys::{KEYS, SECTIONS};
use super::layers::{from_sections, internal};
use crate::error::Result;

fn table(section: &impl Serialize) -> Result<Value> {
    Value::try_from(section).map_err(|error| internal(&error))
}

/// The sections with all keys that are set.
///
/// # Errors
/// If a value has no form in TOML, which no checked configuration holds.
pub fn sections(configuration: &Configuration) -> Result<Table> {
    let mut model = table(&configuration.model)?;
    if let (Value::Table(model), Some(preset)) = (&mut model, &configuration.preset) {
        model.insert("preset".into(), Value::String(preset.clone()));
    }
    let values = [
        model,
        table(&configuration.data)?,
        table(&configuration.optimizer)?,
        table(&configuration.schedule)?,
        table(&configuration.train)?,
        table(&configuration.precision)?,
        table(&configuration.evaluation)?,
        table(&configuration.checkpoint)?,
    ];
    Ok(SECTIONS.iter().map(|name| name.to_string()).zip(values).collect())
}

/// The text of a run's `config.toml`. Keys that are not set stand there as comments.
///
/// # Errors
/// As [`sections`].
pub fn text(configuration: &Configuration) -> Result<String> {
    let sections = sections(configuration)?;
    let mut text = String::from("# The whole configuration of this run: gradus train --config THIS_FILE repeats it.\n");
    for section in SECTIONS {
        let _ = writeln!(text, "\n[{section}]");
        for key in KEYS.iter().filter(|key| key.section == section) {
            let value = super::document::value_at(&sections, section, key.name);
            let _ = match value {
                Some(value) => writeln!(text, "# {}\n{} = {value}", key.meaning, key.name),
                None => writeln!(text, "# {}\n# {} is not set", key.meaning, key.name),
            };
        }
    }
    Ok(text)
}

/// Reads what [`text`] wrote.
///
/// # Errors
/// As [`Document::parse`], and if a key is missing.
pub fn read(name: &str, text: &str) -> Result<Configuration> {
    from_sections(Document::parse(name, text)?.sections)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::configuration::keys;
    use crate::data::tasks::Task;
    use gradus_models::configuration::{RopeScaling, presets};

    #[test]
    fn what_is_written_is_read_and_every_key_is_known_and_documented() {
        for preset in presets::all().unwrap() {
            let mut configuration = Configuration::for_model(preset.model);
            configuration.preset = Some(preset.name.into());
            configuration.train.max_time = Some("5m".into());
            configuration.data.path = Some("some folder/a \"b\".txt".into());
            let written = text(&configuration).unwrap();
            assert_eq!(read("config.toml", &written).unwrap(), configuration, "{written}");
            for (section, entries) in sections(&configuration).unwrap() {
                for (key, _) in entries.as_table().unwrap() {
                    assert!(keys::find(&section, key).is_some(), "{section}.{key} is not in the table of keys");
                }
            }
        }
    }

    #[test]
    fn every_key_of_the_table_is_one_of_the_configuration() {
        // Keys of the table that appear in no section would be accepted and ignored.
        let mut seen = std::collections::BTreeSet::new();
        for name in ["xlstm-tiny", "llama-tiny"] {
            let mut configuration = Configuration::for_model(presets::find(name).unwrap().model);
            // The scaling with every key; an xLSTM writes none.
            configuration.model.rope_scaling =
                RopeScaling::Llama3 { factor: 8.0, low: 1.0, high: 4.0, original_context: 512 };
            configuration.preset = Some(name.into());
            configuration.data.path = Some("x".into());
            configuration.train.init = Some("x".into());
            configuration.data.task = Some(Task::Copy);
            configuration.train.steps = Some(1);
            configuration.train.max_time = Some("1s".into());
            configuration.evaluation.every = Some(1);
            configuration.checkpoint.every = Some(1);
            for (section, entries) in sections(&configuration).unwrap() {
                seen.extend(entries.as_table().unwrap().keys().map(|key| (section.clone(), key.clone())));
            }
        }
        for key in &KEYS {
            assert!(seen.contains(&(key.section.into(), key.name.into())), "{}.{}", key.section, key.name);
        }
        assert_eq!(seen.len(), KEYS.len());
    }
}
