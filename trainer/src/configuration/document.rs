//! A TOML file with the lines of its keys, checked against the table of keys.

use std::ops::Range;
use std::path::Path;

use toml::de::{DeTable, DeValue};
use toml::{Table, Value};

use super::keys;
use crate::error::{Result, TrainerError};

/// A configuration file whose every key is known and whose every value is of its key's kind.
#[derive(Debug, Clone)]
pub struct Document {
    /// The file's name as the user gave it.
    pub name: String,
    /// Its sections.
    pub sections: Table,
    lines: Vec<((String, String), usize)>,
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
        let mut lines = Vec::new();
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
                let Some(known) = keys::find(section_name, key_name) else {
                    let message = format!("unknown key `{key_name}` in [{section_name}]");
                    return wrong(key.span(), message, Some(suggested_key(section_name, key_name)));
                };
                if let Some(Err(problem)) =
                    value_at(&sections, section_name, key_name).map(|value| known.kind.check(value))
                {
                    return wrong(
                        key.span(),
                        format!("`{key_name}` in [{section_name}] {problem}"),
                        Some(known.meaning.into()),
                    );
                }
                lines.push(((section_name.into(), key_name.into()), line_of(text, key.span().start)));
            }
        }
        Ok(Self { name: name.into(), sections, lines })
    }

    /// File and line of a key, or the file alone where the key is not in it.
    pub fn place(&self, section: &str, key: &str) -> String {
        match self.lines.iter().find(|((s, k), _)| s == section && k == key) {
            Some((_, line)) => format!("{}:{line}", self.name),
            None => self.name.clone(),
        }
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

pub(crate) fn line_of(text: &str, offset: usize) -> usize {
    1 + text.bytes().take(offset).filter(|byte| *byte == b'\n').count()
}

fn unknown_section(name: &str) -> String {
    match keys::KEYS.iter().find(|key| key.name == name) {
        Some(key) => format!("`{name}` stands outside its section [{}]", key.section),
        None => format!("unknown section [{name}]"),
    }
}

fn suggested_section(name: &str) -> Option<String> {
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
