//! Assignments of the command line: `--set section.key=value`, and without a value for the key's default.

use toml::{Table, Value};

use super::document::{Document, check_value, known_key, set_value, suggested_path, suggested_section};
use super::keys::{self, Key};
use crate::error::{Result, TrainerError};

/// The flag of assignments.
const SET: &str = "--set";

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

#[cfg(test)]
mod tests {
    use super::super::layers::{Flags, Layers, ModelBase};
    use super::*;
    use gradus_models::configuration::presets;

    fn flags(assignments: &[&str]) -> Flags {
        Flags { set: assignments.iter().map(|text| text.to_string()).collect(), ..Flags::default() }
    }

    fn over(file: &str, flags: Flags) -> Result<Layers> {
        Layers::over(Some(Document::parse("a.toml", file)?), flags)
    }

    fn tiny() -> ModelBase {
        ModelBase::FileOr("xlstm-tiny")
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
    fn a_key_that_is_unset_has_its_default_again() {
        let file =
            "[model]\npreset = 'llama-tiny'\nnum_blocks = 6\n[train]\nsteps = 9\nbatch = 3\n[data]\npath = 'a'\n";
        let unset = ["train.steps=", "train.batch=", "data.path=", "model.num_blocks=", "schedule.shape="];
        let layers = over(file, flags(&unset)).unwrap();
        assert_eq!(layers.data_path(), None);
        let made = layers.resolve(tiny(), 256).unwrap();
        assert_eq!((made.train.steps, made.train.max_time.as_deref(), made.data.path), (None, Some("5m"), None));
        assert_eq!(
            (made.train.batch, made.model.num_blocks),
            (8, presets::find("llama-tiny").unwrap().model.num_blocks)
        );
        let without = over(file, flags(&["model.preset="])).unwrap().resolve(tiny(), 256).unwrap();
        assert_eq!((without.preset.as_deref(), without.model.num_blocks), (Some("xlstm-tiny"), 6));
        let twice = over(file, Flags { steps: Some(4), ..flags(&["train.steps="]) }).unwrap_err();
        assert!(twice.to_string().starts_with("--set train.steps=: `steps` is set by a flag"), "{twice}");
        // Of the file that `--model` names too.
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("model.toml");
        std::fs::write(&path, format!("{}\n[data]\npath = 'b'\n", presets::text("llama-tiny").unwrap())).unwrap();
        let layers = Layers::read(None, flags(&["data.path="])).unwrap();
        assert_eq!(layers.resolve(ModelBase::File(path), 256).unwrap().data.path, None);
    }
}
