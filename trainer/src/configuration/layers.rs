//! Defaults, preset, file, flags and assignments, each on top of the one before.

use std::path::{Path, PathBuf};

use gradus_models::configuration::{ModelConfiguration, presets};
use serde::de::DeserializeOwned;
use toml::{Table, Value};

use super::assignments::{Assigned, Unset};
use super::batch::{self, BatchSize};
use super::document::{Document, set_value, value_at};
use super::keys;
use super::shape::{refuse_contradictions, table_of};
use super::{Configuration, Mode, writing};
use crate::data::tasks::Task;
use crate::device_choice::DeviceChoice;
use crate::error::{Result, TrainerError};

/// The length of a run for which nobody gave one.
pub const DEFAULT_MAX_TIME: &str = "5m";

/// Values from the command line; `None` was not given.
#[derive(Clone, Debug, Default)]
pub struct Flags {
    /// `--init`
    pub init: Option<PathBuf>,
    /// `--data`
    pub data: Option<PathBuf>,
    /// `--task`
    pub task: Option<Task>,
    /// `--device`
    pub device: Option<DeviceChoice>,
    /// `--steps`
    pub steps: Option<u64>,
    /// `--max-time`, in the words of [`crate::duration::parse`]
    pub max_time: Option<String>,
    /// `--batch`
    pub batch: Option<BatchSize>,
    /// `--accumulation`
    pub accumulation: Option<u64>,
    /// `--context`
    pub context: Option<u64>,
    /// `--learning-rate`
    pub learning_rate: Option<f64>,
    /// `--seed`
    pub seed: Option<u64>,
    /// `--eval-every`
    pub eval_every: Option<u64>,
    /// `--precision`
    pub precision: Option<Mode>,
    /// `--gradient-checkpointing`
    pub gradient_checkpointing: bool,
    /// `--keep`
    pub keep: Option<u64>,
    /// `--set`, each `section.key=value`, or `section.key=` for the default
    pub set: Vec<String>,
}

/// Where the model comes from.
#[derive(Clone, Debug)]
pub enum ModelBase {
    /// `--model` was not given: the `[model]` of file and assignments, else the shape of the weights to start from, else this
    /// preset.
    FileOr(&'static str),
    /// `--model` names a preset. It replaces the file's `[model]` as a whole.
    Preset(String),
    /// `--model` names a TOML file. Its keys go below those of `--config`, but its `[model]`
    /// replaces theirs as a whole.
    File(PathBuf),
    /// `--model` names a folder with weights to start from, whose shape replaces the file's `[model]` as a whole.
    Given,
}

/// A file, flags and assignments, before it is known which model they are for.
#[derive(Clone, Debug)]
pub struct Layers {
    file: Option<Document>,
    flags: Flags,
    assigned: Option<Document>,
    /// Keys that are to have their defaults, whatever the files say.
    unset: Vec<Unset>,
}

impl Layers {
    /// Reads the configuration file, if one is named.
    ///
    /// # Errors
    /// As [`Document::read`]; an assignment that is none, or that takes back what a flag sets.
    pub fn read(config: Option<&Path>, flags: Flags) -> Result<Self> {
        Self::over(config.map(Document::read).transpose()?, flags)
    }

    pub(super) fn over(file: Option<Document>, flags: Flags) -> Result<Self> {
        let Assigned { values: assigned, unset } = Assigned::read(&flags.set)?;
        let layers = Self { file: file.map(|file| file.without(&unset)), flags, assigned, unset };
        let flagged = layers.flag_sections();
        match layers.unset.iter().find(|key| value_at(&flagged, &key.section, &key.name).is_some()) {
            Some(key) => Err(TrainerError::Configuration {
                place: key.place.clone(),
                message: format!("`{}` is set by a flag of its own too", key.name),
                hint: Some("leave out one of the two".into()),
            }),
            None => Ok(layers),
        }
    }

    /// The text of a key in one of the documents.
    fn text_in<'a>(document: Option<&'a Document>, section: &str, key: &str) -> Option<&'a str> {
        document?.value(section, key)?.as_str()
    }

    /// The device asked for, which decides the default model.
    pub fn device(&self) -> DeviceChoice {
        let of = |document| Self::text_in(document, "train", "device")?.parse().ok();
        let from_file = || of(self.file.as_ref());
        of(self.assigned.as_ref()).or(self.flags.device).or_else(from_file).unwrap_or_default()
    }

    /// The text or tokens asked for, which decide the vocabulary.
    pub fn data_path(&self) -> Option<PathBuf> {
        self.path("data", "path", self.flags.data.as_ref())
    }

    /// The folder of weights to start from, which decides the model's shape.
    pub fn init(&self) -> Option<PathBuf> {
        self.path("train", "init", self.flags.init.as_ref())
    }

    fn path(&self, section: &str, key: &str, flag: Option<&PathBuf>) -> Option<PathBuf> {
        let of = |document| Self::text_in(document, section, key).map(PathBuf::from);
        of(self.assigned.as_ref()).or_else(|| flag.cloned()).or_else(|| of(self.file.as_ref()))
    }

    /// The synthetic task asked for, if there is one.
    pub fn task(&self) -> Option<Task> {
        let of = |document: Option<&Document>| document?.value("data", "task").cloned()?.try_into().ok();
        of(self.assigned.as_ref()).or(self.flags.task).or_else(|| of(self.file.as_ref()))
    }

    /// Puts the layers together. A preset's vocabulary is that of the data.
    ///
    /// # Errors
    /// If the preset is unknown, the model's file has errors, a key is missing where no preset
    /// gives it, or a value does not fit another.
    pub fn resolve(&self, base: ModelBase, vocabulary: usize) -> Result<Configuration> {
        self.resolve_with(base, None, vocabulary)
    }

    /// The same with the shape of the weights to start from, which the layers may name but not contradict.
    ///
    /// # Errors
    /// As [`Self::resolve`], and if a key of `[model]` says something else than the weights.
    pub fn resolve_with(
        &self,
        base: ModelBase,
        weights: Option<&ModelConfiguration>,
        vocabulary: usize,
    ) -> Result<Configuration> {
        let mut file = self.file.clone();
        if !matches!(base, ModelBase::FileOr(_))
            && let Some(file) = &mut file
        {
            file.sections.remove("model");
        }
        let of_model = match &base {
            ModelBase::File(path) => Some(Document::read(path)?.without(&self.unset)),
            _ => None,
        };
        // From the lowest layer to the highest; flags are below the last.
        let documents: Vec<Document> = [of_model, file, self.assigned.clone()].into_iter().flatten().collect();
        let mut preset = self.preset(&base, weights.is_some(), &documents)?;
        if let Some(preset) = preset.as_mut().filter(|preset| preset.model.vocab_size < vocabulary) {
            preset.model.vocab_size = vocabulary;
        }
        let model = self.model(weights, preset.as_ref(), &documents)?;
        let mut defaults = Configuration::for_model(model);
        if let Some(preset) = &preset {
            defaults.preset = Some(preset.name.into());
            defaults.train.batch = preset.batch;
            defaults.optimizer.learning_rate = preset.learning_rate;
        }
        let mut sections = writing::sections(&defaults)?;
        for document in &documents {
            overlay(&mut sections, &document.sections);
        }
        overlay(&mut sections, &self.flag_sections());
        if let Some(assigned) = &self.assigned {
            overlay(&mut sections, &assigned.sections);
        }
        if value_at(&sections, "train", "steps").or(value_at(&sections, "train", "max_time")).is_none() {
            set_value(&mut sections, "train", "max_time", Value::String(DEFAULT_MAX_TIME.into()));
        }
        let automatic = batch::automatic(&mut sections, &documents, self.flags.batch, defaults.train.batch);
        let mut configuration = from_sections(sections)?;
        configuration.train.automatic_batch = automatic;
        let model_place = documents.iter().rev().find(|document| document.sections.contains_key("model"));
        let model_place = model_place.map(|document| document.name.clone());
        configuration.model.validate().map_err(|error| match model_place {
            Some(place) => TrainerError::Configuration { place, message: error.to_string(), hint: None },
            None => error.into(),
        })?;
        Ok(configuration)
    }

    /// The preset that the model starts from: that of `--model`, else of the highest document whose
    /// `[model]` names one, else the default unless a document describes its model in full,
    /// or weights do.
    fn preset(&self, base: &ModelBase, has_weights: bool, documents: &[Document]) -> Result<Option<presets::Preset>> {
        let mut named = documents
            .iter()
            .rev()
            .filter_map(|document| Some((document, Self::text_in(Some(document), "model", "preset")?)));
        let named = named.next();
        if let (ModelBase::Preset(_) | ModelBase::Given, Some((document, _))) = (base, named) {
            return Err(TrainerError::Configuration {
                place: document.place("model", "preset"),
                message: "the model is named by --model too".into(),
                hint: Some("give one of the two; other keys of [model] may be set beside --model".into()),
            });
        }
        if let ModelBase::Preset(name) = base {
            return Ok(Some(presets::find(name)?));
        }
        if let Some((document, name)) = named {
            let place = document.place("model", "preset");
            return match presets::find(name) {
                Ok(preset) => Ok(Some(preset)),
                Err(error) => Err(TrainerError::Configuration { place, message: error.to_string(), hint: None }),
            };
        }
        let in_full = documents.iter().any(|document| document.value("model", "architecture").is_some());
        match base {
            ModelBase::FileOr(default) if !in_full && !has_weights => Ok(Some(presets::find(default)?)),
            _ => Ok(None),
        }
    }

    /// The model with the keys of the documents and flags on top of the preset's.
    fn model(
        &self,
        weights: Option<&ModelConfiguration>,
        preset: Option<&presets::Preset>,
        documents: &[Document],
    ) -> Result<ModelConfiguration> {
        let of_preset = preset.map(|preset| table_of(&preset.model)).transpose()?;
        let mut table = match weights {
            Some(weights) => table_of(weights)?,
            None => of_preset.clone().unwrap_or_default(),
        };
        for document in documents {
            if weights.is_some() {
                refuse_contradictions(&table, document, of_preset.as_ref())?;
            }
            if let Some(Value::Table(model)) = document.sections.get("model") {
                table.extend(model.clone());
            }
        }
        table.remove("preset");
        let assigned = |key| self.assigned.as_ref().is_some_and(|document| document.value("model", key).is_some());
        if let Some(context) = self.flags.context.filter(|_| !assigned("context_length")) {
            table.insert("context_length".into(), count(context));
        }
        let place = || documents.first().map_or("[model]".into(), |document| document.name.clone());
        table.try_into::<ModelConfiguration>().map_err(|error| TrainerError::Configuration {
            place: place(),
            message: format!("[model]: {}", error.message()),
            hint: Some(
                "name a preset, or give every key of the section; the files in models/presets/ are examples".into(),
            ),
        })
    }

    fn flag_sections(&self) -> Table {
        let flags = &self.flags;
        let mut sections = Table::new();
        let values = [
            ("train", "init", flags.init.as_ref().map(|path| Value::String(path.display().to_string()))),
            ("data", "path", flags.data.as_ref().map(|path| Value::String(path.display().to_string()))),
            ("data", "task", flags.task.map(|task| Value::String(task.to_string()))),
            ("train", "device", flags.device.map(|device| Value::String(device.to_string()))),
            ("train", "steps", flags.steps.map(count)),
            ("train", "max_time", flags.max_time.clone().map(Value::String)),
            ("train", "batch", flags.batch.map(BatchSize::value)),
            ("train", "accumulation", flags.accumulation.map(count)),
            ("train", "seed", flags.seed.map(count)),
            ("model", "context_length", flags.context.map(count)),
            ("optimizer", "learning_rate", flags.learning_rate.map(Value::Float)),
            ("evaluation", "every", flags.eval_every.map(count)),
            ("checkpoint", "keep", flags.keep.map(count)),
            ("train", "gradient_checkpointing", flags.gradient_checkpointing.then_some(Value::Boolean(true))),
            ("precision", "mode", flags.precision.map(|mode| Value::String(mode.name().into()))),
        ];
        for (section, key, value) in values {
            if let Some(value) = value {
                set_value(&mut sections, section, key, value);
            }
        }
        sections
    }
}

/// As a value of TOML, which counts to 2^63.
pub(super) fn count(count: u64) -> Value {
    Value::Integer(count.min(keys::LARGEST_COUNT) as i64)
}

fn overlay(sections: &mut Table, above: &Table) {
    for (section, entries) in above {
        for (key, value) in entries.as_table().into_iter().flatten() {
            set_value(sections, section, key, value.clone());
        }
    }
}

/// A configuration from complete sections.
///
/// # Errors
/// If a section or key is missing or of the wrong type.
pub fn from_sections(mut sections: Table) -> Result<Configuration> {
    let preset = match sections.get_mut("model") {
        Some(Value::Table(model)) => model.remove("preset"),
        _ => None,
    };
    Ok(Configuration {
        preset: preset.and_then(|name| name.as_str().map(String::from)),
        model: section(&mut sections, "model")?,
        data: section(&mut sections, "data")?,
        optimizer: section(&mut sections, "optimizer")?,
        schedule: section(&mut sections, "schedule")?,
        train: section(&mut sections, "train")?,
        precision: section(&mut sections, "precision")?,
        evaluation: section(&mut sections, "evaluation")?,
        checkpoint: section(&mut sections, "checkpoint")?,
    })
}

fn section<T: DeserializeOwned>(sections: &mut Table, name: &str) -> Result<T> {
    let table = sections.remove(name).unwrap_or_else(|| Value::Table(Table::new()));
    table.try_into().map_err(|error: toml::de::Error| TrainerError::Configuration {
        place: format!("[{name}]"),
        message: error.message().into(),
        hint: None,
    })
}

/// A configuration of our own that does not become TOML: nothing the user wrote.
pub(super) fn internal(error: &dyn std::fmt::Display) -> TrainerError {
    TrainerError::Configuration { place: "configuration".into(), message: error.to_string(), hint: None }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn resolve(file: &str, flags: Flags, base: ModelBase) -> Result<Configuration> {
        Layers::over(Some(Document::parse("a.toml", file)?), flags)?.resolve(base, 256)
    }

    fn tiny() -> ModelBase {
        ModelBase::FileOr("xlstm-tiny")
    }

    #[test]
    fn defaults_come_from_the_preset() {
        let configuration = Layers::read(None, Flags::default()).unwrap().resolve(tiny(), 256).unwrap();
        assert_eq!(configuration.preset.as_deref(), Some("xlstm-tiny"));
        assert_eq!((configuration.train.batch, configuration.model.context_length), (8, 256));
        assert_eq!((configuration.optimizer.learning_rate, configuration.optimizer.gradient_clip), (3e-3, 0.5));
        assert_eq!(configuration.train.max_time.as_deref(), Some("5m"));
        assert_eq!(configuration.run_length(), crate::schedule::RunLength { steps: None, seconds: Some(300.0) });
        let llama = Layers::read(None, Flags::default())
            .unwrap()
            .resolve(ModelBase::Preset("llama-small".into()), 256)
            .unwrap();
        assert_eq!((llama.optimizer.learning_rate, llama.optimizer.gradient_clip), (1e-3, 1.0));
    }

    #[test]
    fn the_file_is_above_the_preset_and_flags_above_the_file() {
        let file = "[model]\npreset = 'llama-tiny'\nnum_blocks = 6\n[train]\nbatch = 3\nseed = 9\ndevice = 'cpu'\n[optimizer]\nlearning_rate = 1";
        let flags = Flags { batch: Some(BatchSize::Rows(5)), context: Some(64), steps: Some(7), ..Flags::default() };
        let layers = Layers::over(Some(Document::parse("a.toml", file).unwrap()), flags).unwrap();
        assert_eq!(layers.device(), DeviceChoice::Cpu);
        let configuration = layers.resolve(tiny(), 256).unwrap();
        assert_eq!(configuration.preset.as_deref(), Some("llama-tiny"));
        assert_eq!((configuration.model.num_blocks, configuration.model.context_length), (6, 64));
        assert_eq!((configuration.train.batch, configuration.train.seed), (5, 9));
        assert_eq!(configuration.optimizer.learning_rate, 1.0);
        // A limit by steps takes the place of the default limit by time.
        assert_eq!((configuration.train.steps, configuration.train.max_time), (Some(7), None));
    }

    fn set(assignments: &[&str]) -> Flags {
        Flags { set: assignments.iter().map(|text| text.to_string()).collect(), ..Flags::default() }
    }

    #[test]
    fn assignments_are_above_flags_and_file() {
        let file =
            "[model]\npreset = 'llama-tiny'\nnum_blocks = 6\n[train]\nbatch = 3\ndevice = 'cpu'\n[data]\npath = 'a'\n";
        let assigned = set(&[
            "model.num_blocks=2",
            "model.context_length=32",
            "train.batch=4",
            "train.device=gpu:1",
            "train.steps=9",
            "data.path=b",
        ]);
        let flags = Flags {
            batch: Some(BatchSize::Rows(5)),
            context: Some(64),
            data: Some("c".into()),
            seed: Some(1),
            ..assigned
        };
        let layers = Layers::over(Some(Document::parse("a.toml", file).unwrap()), flags).unwrap();
        assert_eq!((layers.device(), layers.data_path()), (DeviceChoice::Gpu(Some(1)), Some("b".into())));
        let configuration = layers.resolve(tiny(), 256).unwrap();
        assert_eq!((configuration.model.num_blocks, configuration.model.context_length), (2, 32));
        assert_eq!((configuration.train.batch, configuration.train.seed), (4, 1));
        assert_eq!((configuration.train.steps, configuration.train.max_time.as_deref()), (Some(9), None));
        assert_eq!(
            (configuration.train.device, configuration.data.path),
            (DeviceChoice::Gpu(Some(1)), Some("b".into()))
        );
        // They change what --model names, too.
        let preset = ModelBase::Preset("xlstm-tiny".into());
        let configuration = resolve(file, set(&["model.num_blocks=2"]), preset.clone()).unwrap();
        assert_eq!((configuration.model.num_blocks, configuration.preset.as_deref()), (2, Some("xlstm-tiny")));
        // A preset of theirs takes the place of the file's, whose other keys stay.
        let configuration = resolve(file, set(&["model.preset=llama-small"]), tiny()).unwrap();
        assert_eq!((configuration.model.num_blocks, configuration.model.embedding_dim), (6, 512));
        let both = resolve(file, set(&["model.preset=llama-small"]), preset).unwrap_err();
        assert!(
            both.to_string().starts_with("--set model.preset=llama-small: the model is named by --model"),
            "{both}"
        );
        let unfit = resolve(file, set(&["model.num_heads=3"]), tiny()).unwrap_err();
        assert!(unfit.to_string().starts_with("--set: ") && unfit.to_string().contains("num_"), "{unfit}");
    }

    #[test]
    fn a_model_on_the_command_line_replaces_that_of_the_file() {
        let file = "[model]\npreset = 'llama-tiny'\nnum_blocks = 6\n[train]\nmax_time = '10s'\n";
        let configuration = resolve(file, Flags::default(), ModelBase::Preset("xlstm-tiny".into())).unwrap();
        assert_eq!(configuration.model.num_blocks, 4);
        assert_eq!(configuration.train.max_time.as_deref(), Some("10s"));
        let mut given = presets::find("llama-tiny").unwrap().model;
        given.num_blocks = 2;
        let layers = Layers::over(Some(Document::parse("a.toml", file).unwrap()), Flags::default()).unwrap();
        let configuration = layers.resolve_with(ModelBase::Given, Some(&given), 256).unwrap();
        assert_eq!((configuration.model, configuration.preset), (given, None));
    }

    #[test]
    fn a_model_file_is_below_the_configuration_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("model.toml");
        std::fs::write(&path, presets::text("llama-tiny").unwrap().replace("batch = 8", "batch = 2")).unwrap();
        let base = || ModelBase::File(path.clone());
        let configuration = resolve("[train]\nseed = 1\n", Flags::default(), base()).unwrap();
        assert_eq!((configuration.train.batch, configuration.train.seed), (2, 1));
        assert_eq!(configuration.model, presets::find("llama-tiny").unwrap().model);
        let configuration = resolve("[train]\nbatch = 4\n", Flags::default(), base()).unwrap();
        assert_eq!(configuration.train.batch, 4);
    }

    #[test]
    fn models_that_cannot_be_are_refused() {
        let message = |file: &str| resolve(file, Flags::default(), tiny()).unwrap_err().to_string();
        let unknown = message("[model]\npreset = 'xlstm-tny'\n");
        assert_eq!(unknown, "a.toml:2: there is no preset `xlstm-tny`; did you mean `xlstm-tiny`?");
        let foreign = message("[model]\nrope_theta = 5.0\n");
        assert!(foreign.contains("rope_theta") && foreign.contains("xlstm"), "{foreign}");
        let missing = message("[model]\narchitecture = 'xlstm'\n");
        assert!(missing.contains("missing field `vocab_size`"), "{missing}");
        let unfit = message("[model]\npreset = 'llama-tiny'\nnum_heads = 3\n");
        assert!(unfit.contains("num_key_value_heads") && unfit.contains("a.toml"), "{unfit}");
        let error = Layers::read(None, Flags::default())
            .unwrap()
            .resolve(ModelBase::Preset("llama-tiney".into()), 256)
            .unwrap_err();
        assert!(error.to_string().contains("`llama-tiny`"), "{error}");
        assert_eq!(error.exit_code(), 2);
    }
}
