//! Values of keys with the place of each, checked against the table of keys: a TOML file, or assignments of the command line.

use std::ops::Range;
use std::path::Path;

use toml::de::{DeTable, DeValue};
use toml::{Table, Value};

use super::assignments::Unset;
use super::keys::{self, Key};
use crate::error::{Result, TrainerError};

/// Configuration whose every key is known and whose every value is of its key's kind.
#[derive(Debug, Clone)]
pub struct Document {
    /// The file's name as the user gave it, or the flag of assignments.
    pub name: String,
    /// Its sections.
    pub sections: Table,
    /// Section and name of each key, and where it stands.
    pub(super) places: Vec<((String, String), String)>,
}

impl Document {
    /// Reads and checks a file.
    ///
    /// # Errors
    /// If it cannot be read, is not TOML, or has an unknown section or key or a value that its
    /// key does not take: with the line, and the nearest name.
    pub fn read(path: &Path) -> Result<Self> {
        let text = std::fs::read_to_string(path).map_err(TrainerError::io("read", path))?;
        Self::parse(&path.display().to_string(), &text)
    }

    /// Checks a file's text; `name` is for the messages.
    ///
    /// # Errors
    /// As [`Self::read`].
    pub fn parse(name: &str, text: &str) -> Result<Self> {
        let place = |span: Range<usize>| format!("{name}:{}", line_of(text, span.start));
        let broken = |error: toml::de::Error| TrainerError::Configuration {
            place: place(error.span().unwrap_or(0..0)),
            message: format!("not valid TOML: {}", error.message()),
            hint: None,
        };
        let parsed = DeTable::parse(text).map_err(broken)?;
        let sections: Table = toml::from_str(text).map_err(broken)?;
        let mut places = Vec::new();
        for (section, value) in parsed.get_ref() {
            let section_name: &str = section.get_ref();
            let wrong = |span, message, hint| Err(TrainerError::Configuration { place: place(span), message, hint });
            if !keys::SECTIONS.contains(&section_name) {
                return wrong(section.span(), unknown_section(section_name), suggested_section(section_name));
            }
            let DeValue::Table(entries) = value.get_ref() else {
                return wrong(
                    section.span(),
                    format!("`{section_name}` is a section: write it as [{section_name}]"),
                    None,
                );
            };
            for key in entries.keys() {
                let key_name: &str = key.get_ref();
                let place = place(key.span());
                let known = known_key(section_name, key_name, &place)?;
                if let Some(value) = value_at(&sections, section_name, key_name) {
                    check_value(known, value, &place)?;
                }
                places.push(((section_name.into(), key_name.into()), place));
            }
        }
        Ok(Self { name: name.into(), sections, places })
    }

    /// Takes keys out, as if they did not stand there.
    pub(super) fn without(mut self, unset: &[Unset]) -> Self {
        for Unset { section, name, .. } in unset {
            self.remove(section, name);
        }
        self
    }

    pub(super) fn remove(&mut self, section: &str, name: &str) {
        if let Some(Value::Table(entries)) = self.sections.get_mut(section) {
            entries.remove(name);
        }
        self.places.retain(|((s, k), _)| (s.as_str(), k.as_str()) != (section, name));
    }

    /// File and line of a key, or the file alone where the key is not in it.
    pub fn place(&self, section: &str, key: &str) -> String {
        let found = self.places.iter().find(|((s, k), _)| s == section && k == key);
        found.map_or_else(|| self.name.clone(), |(_, place)| place.clone())
    }

    /// The value of a key, if the file has it.
    pub fn value(&self, section: &str, key: &str) -> Option<&Value> {
        value_at(&self.sections, section, key)
    }
}

/// The value of a key in a table of sections.
pub fn value_at<'a>(sections: &'a Table, section: &str, key: &str) -> Option<&'a Value> {
    sections.get(section)?.as_table()?.get(key)
}

/// Sets a key in a table of sections.
pub(super) fn set_value(sections: &mut Table, section: &str, key: &str, value: Value) {
    if let Value::Table(table) = sections.entry(section).or_insert_with(|| Value::Table(Table::new())) {
        table.insert(key.into(), value);
    }
}

pub(super) fn known_key(section: &str, name: &str, place: &str) -> Result<&'static Key> {
    keys::find(section, name).ok_or_else(|| TrainerError::Configuration {
        place: place.into(),
        message: format!("unknown key `{name}` in [{section}]"),
        hint: Some(suggested_key(section, name)),
    })
}

pub(super) fn check_value(key: &Key, value: &Value, place: &str) -> Result<()> {
    key.kind.check(value).map_err(|problem| TrainerError::Configuration {
        place: place.into(),
        message: format!("`{}` in [{}] {problem}", key.name, key.section),
        hint: Some(key.meaning.into()),
    })
}

pub(crate) fn line_of(text: &str, offset: usize) -> usize {
    1 + text.bytes().take(offset).filter(|byte| *byte == b'\n').count()
}

fn unknown_section(name: &str) -> String {
    match keys::KEYS.iter().find(|key| key.name == name) {
        Some(key) => format!("`{name}` stands outside its section [{}]", key.section),
        None => format!("unknown section [{name}]"),
    }
}

pub(super) fn suggested_path(name: &str) -> String {
    match keys::KEYS.iter().find(|key| key.name == name) {
        Some(key) => format!("write --set {}.{name}=…", key.section),
        None => format!("there are {}", keys::SECTIONS.join(", ")),
    }
}

pub(super) fn suggested_section(name: &str) -> Option<String> {
    Some(match keys::nearest(name, keys::SECTIONS.into_iter()) {
        Some(meant) => format!("did you mean [{meant}]?"),
        None => format!("there are [{}]", keys::SECTIONS.join("], [")),
    })
}

fn suggested_key(section: &str, name: &str) -> String {
    if let Some(elsewhere) = keys::KEYS.iter().find(|key| key.name == name) {
        return format!("`{name}` belongs in [{}]", elsewhere.section);
    }
    let here = || keys::KEYS.iter().filter(|key| key.section == section).map(|key| key.name);
    match keys::nearest(name, here()) {
        Some(meant) => format!("did you mean `{meant}`?"),
        None => format!("[{section}] has {}", here().collect::<Vec<_>>().join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::keys::Kind;
    use super::*;

    fn error(text: &str) -> (String, String) {
        let error = Document::parse("a.toml", text).unwrap_err();
        assert_eq!(error.exit_code(), 2);
        (error.to_string(), error.hint().unwrap_or_default())
    }

    #[test]
    fn unknown_names_are_errors_with_line_and_nearest_name() {
        let (message, hint) = error("# first\n[optimizer]\n\nlearning_rat = 1e-3\n");
        assert_eq!(message, "a.toml:4: unknown key `learning_rat` in [optimizer]");
        assert_eq!(hint, "did you mean `learning_rate`?");
        let (message, hint) = error("[train]\nsteps = 5\n[optimiser]\nbeta1 = 0.9\n");
        assert_eq!(message, "a.toml:3: unknown section [optimiser]");
        assert_eq!(hint, "did you mean [optimizer]?");
        let (_, hint) = error("[train]\nlearning_rate = 1e-3\n");
        assert_eq!(hint, "`learning_rate` belongs in [optimizer]");
        let (message, _) = error("steps = 3\n");
        assert_eq!(message, "a.toml:1: `steps` stands outside its section [train]");
        let (_, hint) = error("[data]\nzzz = 1\n");
        assert!(hint.contains("path, validation_fraction"), "{hint}");
    }

    #[test]
    fn values_are_checked_with_their_line() {
        let (message, hint) = error("[train]\nbatch = 8\nsteps = 0\n");
        assert_eq!(
            message,
            "a.toml:3: `steps` in [train] is 0; it must be a whole number from 1 to 9223372036854775807"
        );
        assert!(hint.contains("optimizer steps"));
        let (message, _) = error("[optimizer]\nlearning_rate = nan\n");
        assert!(message.contains("a.toml:2") && message.contains("NaN"), "{message}");
        let (message, _) = error("train = 4\n");
        assert!(message.contains("write it as [train]"), "{message}");
    }

    /// Values that no key of a kind takes: below, above, no number, of another type.
    fn out_of_range(kind: Kind) -> Vec<String> {
        let not_finite = ["nan", "inf", "-inf", "[1]", "{a = 1}"];
        let more: &[&str] = match kind {
            Kind::Count(least, most) => {
                let beyond = most.checked_add(1).filter(|beyond| i64::try_from(*beyond).is_ok());
                let numbers = [i128::from(least) - 1].into_iter().chain(beyond.map(i128::from));
                return numbers.map(|x| x.to_string()).chain(["1.5", "-1", "'1'"].map(String::from)).collect();
            }
            Kind::SizeOrAuto => &["0", "1.5", "'Auto'"],
            Kind::Positive => &["0", "-1.0", "'1'"],
            Kind::NonNegative => &["-0.1", "true"],
            Kind::Fraction => &["-0.1", "1.1"],
            Kind::Share => &["0", "1.01"],
            Kind::BelowOne => &["1", "-0.1"],
            Kind::LossScale => &["0.5", "16777217"],
            Kind::PositiveOrNone => &["0", "'None'"],
            Kind::Switch => &["1", "'true'"],
            Kind::Text => &["''", "5"],
            Kind::Choice(_) => &["'nothing'", "true"],
            Kind::Time => &["'0s'", "'soon'", "5"],
            Kind::Device => &["'tpu'", "'gpu:-1'", "0"],
        };
        more.iter().chain(&not_finite).map(|text| text.to_string()).collect()
    }

    #[test]
    fn every_key_out_of_range_is_one_message_that_names_it() {
        for key in &keys::KEYS {
            for value in out_of_range(key.kind) {
                let (section, name) = (key.section, key.name);
                let (message, hint) = error(&format!("[{section}]\n{name} = {value}\n"));
                assert!(message.starts_with(&format!("a.toml:2: `{name}` in [{section}] ")), "{value}: {message}");
                assert_eq!(hint, key.meaning, "{name} = {value}");
                if !matches!(key.kind, Kind::Text | Kind::Time | Kind::Device) {
                    let or_text = message.contains("it must be text in quotes");
                    assert!(message.contains(&key.kind.allowed()) || or_text, "{name} = {value}: {message}");
                }
            }
        }
    }

    #[test]
    fn broken_toml_names_the_line() {
        let (message, _) = error("[train]\nsteps = \n");
        assert!(message.starts_with("a.toml:2: not valid TOML"), "{message}");
        let (message, _) = error("[train]\nsteps = 1\nsteps = 2\n");
        assert!(message.starts_with("a.toml:3: not valid TOML"), "{message}");
    }

    #[test]
    fn places_are_remembered() {
        let document = Document::parse("a.toml", "[train]\n\nbatch = 4\n").unwrap();
        assert_eq!(document.place("train", "batch"), "a.toml:3");
        assert_eq!(document.place("train", "steps"), "a.toml");
        assert_eq!(document.value("train", "batch"), Some(&Value::Integer(4)));
    }
}
