//! Values of keys with the place of each, checked against the table of keys: a TOML file, or assignments of the command line.

use std::ops::Range;
use std::path::Path;

use toml::de::{DeTable, DeValue};
use toml::{Table, Value};

use super::keys::{self, Key};
use crate::error::{Result, TrainerError};

/// The flag of assignments.
const SET: &str = "--set";

/// Configuration whose every key is known and whose every value is of its key's kind.
#[derive(Debug, Clone)]
pub struct Document {
    /// The file's name as the user gave it, or `--set`.
    pub name: String,
    /// Its sections.
    pub sections: Table,
    /// Section and name of each key, and where it stands.
    places: Vec<((String, String), String)>,
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

    fn remove(&mut self, section: &str, name: &str) {
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

/// A key that the command line takes back to its default.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Unset {
    pub(super) section: String,
    pub(super) name: String,
    /// The words of the command line.
    pub(super) place: String,
}

/// What the command line assigns.
#[derive(Debug, Clone)]
pub(super) struct Assigned {
    /// Values, if there are any.
    pub(super) values: Option<Document>,
    /// Keys without one.
    pub(super) unset: Vec<Unset>,
}

impl Assigned {
    /// Checks assignments `section.key=value`, of which the last to a key counts. A value is one of TOML; text needs no quotes.
    /// With nothing behind the equals sign the key is taken back to its default.
    ///
    /// # Errors
    /// As [`Document::parse`], and if one is no assignment.
    pub(super) fn read(assignments: &[String]) -> Result<Self> {
        let mut document = Document { name: SET.into(), sections: Table::new(), places: Vec::new() };
        let mut unset: Vec<Unset> = Vec::new();
        for assignment in assignments {
            let place = format!("{SET} {assignment}");
            let wrong =
                |message: String, hint| Err(TrainerError::Configuration { place: place.clone(), message, hint });
            let Some((path, value)) = assignment.split_once('=') else {
                let hint = "write it as --set train.batch=16, or --set 'evaluation.sample_prompt=Once upon'";
                return wrong("no assignment of the form section.key=value".into(), Some(hint.into()));
            };
            let Some((section, name)) = path.trim().split_once('.') else {
                let hint = suggested_path(path.trim());
                return wrong(format!("`{}` names no section", path.trim()), Some(hint));
            };
            if !keys::SECTIONS.contains(&section) {
                return wrong(format!("unknown section [{section}]"), suggested_section(section));
            }
            let known = known_key(section, name, &place)?;
            document.remove(section, name);
            unset.retain(|earlier| (earlier.section.as_str(), earlier.name.as_str()) != (section, name));
            if value.trim().is_empty() {
                unset.push(Unset { section: section.into(), name: name.into(), place });
                continue;
            }
            let value = assigned_value(known, value.trim());
            check_value(known, &value, &place)?;
            set_value(&mut document.sections, section, name, value);
            document.places.push(((section.into(), name.into()), place));
        }
        Ok(Self { values: (!document.places.is_empty()).then_some(document), unset })
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

fn known_key(section: &str, name: &str, place: &str) -> Result<&'static Key> {
    keys::find(section, name).ok_or_else(|| TrainerError::Configuration {
        place: place.into(),
        message: format!("unknown key `{name}` in [{section}]"),
        hint: Some(suggested_key(section, name)),
    })
}

fn check_value(key: &Key, value: &Value, place: &str) -> Result<()> {
    key.kind.check(value).map_err(|problem| TrainerError::Configuration {
        place: place.into(),
        message: format!("`{}` in [{}] {problem}", key.name, key.section),
        hint: Some(key.meaning.into()),
    })
}

/// The value that a text on the command line stands for. Where the key takes text, what is no text in TOML is meant as it
/// stands: a prompt of `42`, a time of `90`.
fn assigned_value(key: &Key, text: &str) -> Value {
    let as_it_stands = || Value::String(text.into());
    let parsed = toml::from_str::<Table>(&format!("value = {text}")).ok();
    let alone = parsed.filter(|table| table.len() == 1).and_then(|mut table| table.remove("value"));
    match alone {
        Some(value) if value.is_str() || !key.kind.is_text() => value,
        _ => as_it_stands(),
    }
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

fn suggested_path(name: &str) -> String {
    match keys::KEYS.iter().find(|key| key.name == name) {
        Some(key) => format!("write --set {}.{name}=…", key.section),
        None => format!("there are {}", keys::SECTIONS.join(", ")),
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

    fn assigned(assignments: &[&str]) -> Result<Document> {
        let assignments: Vec<String> = assignments.iter().map(|text| text.to_string()).collect();
        Assigned::read(&assignments).map(|assigned| assigned.values.unwrap())
    }

    #[test]
    fn assignments_are_values_of_toml_or_text_without_quotes() {
        let cases = [
            ("optimizer.learning_rate=3e-4", Value::Float(3e-4)),
            ("optimizer.learning_rate = 1", Value::Integer(1)),
            ("train.batch=1_024", Value::Integer(1024)),
            ("train.gradient_checkpointing=true", Value::Boolean(true)),
            ("train.max_time=90", Value::String("90".into())),
            ("train.max_time=1h30m", Value::String("1h30m".into())),
            ("train.device=gpu:1", Value::String("gpu:1".into())),
            ("schedule.shape=\"linear\"", Value::String("linear".into())),
            ("model.output_logit_soft_cap=none", Value::String("none".into())),
            ("model.output_logit_soft_cap=30", Value::Integer(30)),
            ("evaluation.sample_prompt=a = b", Value::String("a = b".into())),
            ("evaluation.sample_prompt=\"two\\n\"", Value::String("two\n".into())),
            ("data.path=C:\\texts", Value::String("C:\\texts".into())),
        ];
        for (text, value) in cases {
            let document = assigned(&[text]).unwrap();
            let (section, rest) = text.split_once('.').unwrap();
            let key = rest.split('=').next().unwrap().trim();
            assert_eq!(document.value(section, key), Some(&value), "{text}");
            assert_eq!(document.place(section, key), format!("--set {text}"));
        }
        let twice = assigned(&["train.batch=1", "train.batch=2"]).unwrap();
        assert_eq!(twice.value("train", "batch"), Some(&Value::Integer(2)));
        assert_eq!(twice.place("train", "batch"), "--set train.batch=2");
        assert!(Assigned::read(&[]).unwrap().values.is_none());
    }

    #[test]
    fn assignments_of_nothing_unset_a_key_unless_a_later_one_sets_it() {
        let read = |texts: &[&str]| {
            let texts: Vec<String> = texts.iter().map(|text| text.to_string()).collect();
            let Assigned { values, unset } = Assigned::read(&texts).unwrap();
            let unset: Vec<String> = unset.into_iter().map(|key| format!("{}.{}", key.section, key.name)).collect();
            (values.and_then(|values| values.value("train", "steps").cloned()), unset)
        };
        assert_eq!(read(&["train.steps= ", "train.seed="]), (None, vec!["train.steps".into(), "train.seed".into()]));
        assert_eq!(read(&["train.steps=", "train.steps=5"]), (Some(Value::Integer(5)), vec![]));
        assert_eq!(read(&["train.steps=5", "train.steps="]), (None, vec!["train.steps".into()]));
    }

    #[test]
    fn assignments_that_cannot_be_say_why() {
        for (text, message, hint) in [
            ("train.stps=5", "--set train.stps=5: unknown key `stps` in [train]", "did you mean `steps`?"),
            ("trian.steps=5", "--set trian.steps=5: unknown section [trian]", "did you mean [train]?"),
            ("steps=5", "--set steps=5: `steps` names no section", "--set train.steps="),
            ("train.steps", "no assignment", "--set train.batch=16"),
            ("train.steps=''", "is \"\"; it must be a whole number", "optimizer steps"),
            ("train.stps=", "unknown key `stps` in [train]", "did you mean `steps`?"),
            ("train.steps=0", "`steps` in [train] is 0; it must be a whole number from 1", "optimizer steps"),
            ("train.batch=1\nseed=2", "it must be a whole number", "sequences"),
            ("optimizer.learning_rate=fast", "is \"fast\"; it must be a number", "peak"),
            ("schedule.shape=cosin", "did you mean \"cosine\"?", "learning rate"),
        ] {
            let error = assigned(&[text]).unwrap_err();
            assert!(error.to_string().contains(message), "{text}: {error}");
            assert!(error.hint().unwrap().contains(hint), "{text}: {:?}", error.hint());
            assert_eq!(error.exit_code(), 2);
        }
    }

    #[test]
    fn places_are_remembered() {
        let document = Document::parse("a.toml", "[train]\n\nbatch = 4\n").unwrap();
        assert_eq!(document.place("train", "batch"), "a.toml:3");
        assert_eq!(document.place("train", "steps"), "a.toml");
        assert_eq!(document.value("train", "batch"), Some(&Value::Integer(4)));
    }
}
