//! Defaults, preset, file and flags, each on top of the one before.

use std::path::{Path, PathBuf};

use gradus_models::configuration::{ModelConfiguration, presets};
use serde::de::DeserializeOwned;
use toml::{Table, Value};

use super::document::{Document, value_at};
use super::keys;
use super::{AutomaticBatch, Configuration, Mode, writing};
use crate::data::tasks::Task;
use crate::device_choice::DeviceChoice;
use crate::error::{Result, TrainerError};

/// The length of a run for which nobody gave one.
pub const DEFAULT_MAX_TIME: &str = "5m";

/// Values from the command line; `None` was not given.
#[derive(Clone, Debug, Default)]
pub struct Flags {
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
}

/// What `--batch` takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BatchSize {
    /// As many sequences as memory holds.
    Auto,
    /// So many sequences.
    Rows(u64),
}

/// Where the model comes from.
#[derive(Clone, Debug)]
pub enum ModelBase {
    /// `--model` was not given: the file's `[model]`, else this preset.
    FileOr(&'static str),
    /// `--model` names a preset. It replaces the file's `[model]` as a whole.
    Preset(String),
    /// `--model` names a TOML file. Its keys go below those of `--config`, but its `[model]`
    /// replaces theirs as a whole.
    File(PathBuf),
    /// `--model` names a folder with weights, whose configuration is this. It replaces the
    /// file's `[model]` as a whole.
    Given(Box<ModelConfiguration>),
}

/// A file and flags, before it is known which model they are for.
#[derive(Clone, Debug)]
pub struct Layers {
    file: Option<Document>,
    flags: Flags,
}

impl Layers {
    /// Reads the configuration file, if one is named.
    ///
    /// # Errors
    /// As [`Document::read`].
    pub fn read(config: Option<&Path>, flags: Flags) -> Result<Self> {
        Ok(Self { file: config.map(Document::read).transpose()?, flags })
    }

    /// The device asked for, which decides the default model.
    pub fn device(&self) -> DeviceChoice {
        let from_file = || self.file.as_ref()?.value("train", "device")?.as_str()?.parse().ok();
        self.flags.device.or_else(from_file).unwrap_or_default()
    }

    /// The text or tokens asked for, which decide the vocabulary.
    pub fn data_path(&self) -> Option<PathBuf> {
        let from_file = || Some(self.file.as_ref()?.value("data", "path")?.as_str()?.into());
        self.flags.data.clone().or_else(from_file)
    }

    /// The synthetic task asked for, if there is one.
    pub fn task(&self) -> Option<Task> {
        let from_file = || self.file.as_ref()?.value("data", "task").cloned()?.try_into().ok();
        self.flags.task.or_else(from_file)
    }

    /// Puts the layers together. A preset's vocabulary is that of the data.
    ///
    /// # Errors
    /// If the preset is unknown, the model's file has errors, a key is missing where no preset
    /// gives it, or a value does not fit another.
    pub fn resolve(&self, base: ModelBase, vocabulary: usize) -> Result<Configuration> {
        let mut file = self.file.clone();
        if !matches!(base, ModelBase::FileOr(_))
            && let Some(file) = &mut file
        {
            file.sections.remove("model");
        }
        let documents: Vec<Document> = match &base {
            ModelBase::File(path) => [Some(Document::read(path)?), file].into_iter().flatten().collect(),
            _ => file.into_iter().collect(),
        };
        let mut preset = self.preset(&base, &documents)?;
        if let Some(preset) = preset.as_mut().filter(|preset| preset.model.vocab_size < vocabulary) {
            preset.model.vocab_size = vocabulary;
        }
        let model = self.model(&base, preset.as_ref(), &documents)?;
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
        if value_at(&sections, "train", "steps").or(value_at(&sections, "train", "max_time")).is_none() {
            set(&mut sections, "train", "max_time", Value::String(DEFAULT_MAX_TIME.into()));
        }
        let automatic = automatic_batch(&mut sections, &documents, defaults.train.batch);
        let mut configuration = from_sections(sections)?;
        configuration.train.automatic_batch = automatic;
        let model_place = documents.first().map(|document| document.name.clone());
        configuration.model.validate().map_err(|error| match model_place {
            Some(place) => TrainerError::Configuration { place, message: error.to_string(), hint: None },
            None => error.into(),
        })?;
        Ok(configuration)
    }

    /// The preset that the model starts from: that of `--model`, else of the first document's
    /// `[model]`, else the default unless the document describes its model in full.
    fn preset(&self, base: &ModelBase, documents: &[Document]) -> Result<Option<presets::Preset>> {
        if let ModelBase::Preset(name) = base {
            return Ok(Some(presets::find(name)?));
        }
        let named =
            documents.iter().find_map(|document| Some((document, document.value("model", "preset")?.as_str()?)));
        if let Some((document, name)) = named {
            let place = document.place("model", "preset");
            return match presets::find(name) {
                Ok(preset) => Ok(Some(preset)),
                Err(error) => Err(TrainerError::Configuration { place, message: error.to_string(), hint: None }),
            };
        }
        let in_full = documents.iter().any(|document| document.value("model", "architecture").is_some());
        match base {
            ModelBase::FileOr(default) if !in_full => Ok(Some(presets::find(default)?)),
            _ => Ok(None),
        }
    }

    /// The model with the keys of the documents and flags on top of the preset's.
    fn model(
        &self,
        base: &ModelBase,
        preset: Option<&presets::Preset>,
        documents: &[Document],
    ) -> Result<ModelConfiguration> {
        let start = match (base, preset) {
            (ModelBase::Given(model), _) => Some((**model).clone()),
            (_, Some(preset)) => Some(preset.model.clone()),
            _ => None,
        };
        let mut table = match start {
            Some(model) => Table::try_from(model).map_err(|error| internal(&error))?,
            None => Table::new(),
        };
        for document in documents {
            if let Some(Value::Table(model)) = document.sections.get("model") {
                table.extend(model.clone());
            }
        }
        table.remove("preset");
        if let Some(context) = self.flags.context {
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
            ("train", "gradient_checkpointing", flags.gradient_checkpointing.then_some(Value::Boolean(true))),
            ("precision", "mode", flags.precision.map(|mode| Value::String(mode.name().into()))),
        ];
        for (section, key, value) in values {
            if let Some(value) = value {
                set(&mut sections, section, key, value);
            }
        }
        sections
    }
}

impl BatchSize {
    const AUTO: &str = "auto";

    fn value(self) -> Value {
        match self {
            Self::Auto => Value::String(Self::AUTO.into()),
            Self::Rows(rows) => count(rows),
        }
    }
}

/// Puts a number in the place of `auto`: what `documents` name, else `default`. Returns what is to be chosen.
fn automatic_batch(sections: &mut Table, documents: &[Document], default: usize) -> Option<AutomaticBatch> {
    if value_at(sections, "train", "batch")?.as_str() != Some(BatchSize::AUTO) {
        return None;
    }
    let named = documents.iter().rev().find_map(|document| document.value("train", "batch")?.as_integer());
    set(sections, "train", "batch", Value::Integer(named.unwrap_or(default as i64)));
    Some(if named.is_some() { AutomaticBatch::OfStep } else { AutomaticBatch::Free })
}

fn count(count: u64) -> Value {
    Value::Integer(count.min(keys::LARGEST_COUNT) as i64)
}

fn set(sections: &mut Table, section: &str, key: &str, value: Value) {
    if let Value::Table(table) = sections.entry(section).or_insert_with(|| Value::Table(Table::new())) {
        table.insert(key.into(), value);
    }
}

fn overlay(sections: &mut Table, above: &Table) {
    for (section, entries) in above {
        for (key, value) in entries.as_table().into_iter().flatten() {
            set(sections, section, key, value.clone());
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
        Layers { file: Some(Document::parse("a.toml", file)?), flags }.resolve(base, 256)
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
        let layers = Layers { file: Some(Document::parse("a.toml", file).unwrap()), flags };
        assert_eq!(layers.device(), DeviceChoice::Cpu);
        let configuration = layers.resolve(tiny(), 256).unwrap();
        assert_eq!(configuration.preset.as_deref(), Some("llama-tiny"));
        assert_eq!((configuration.model.num_blocks, configuration.model.context_length), (6, 64));
        assert_eq!((configuration.train.batch, configuration.train.seed), (5, 9));
        assert_eq!(configuration.optimizer.learning_rate, 1.0);
        // A limit by steps takes the place of the default limit by time.
        assert_eq!((configuration.train.steps, configuration.train.max_time), (Some(7), None));
    }

    #[test]
    fn an_automatic_batch_keeps_the_step_that_a_file_names() {
        let auto = || Flags { batch: Some(BatchSize::Auto), ..Flags::default() };
        let train = |file: &str, flags: Flags| resolve(file, flags, tiny()).unwrap().train;
        let free = train("", auto());
        assert_eq!((free.automatic_batch, free.batch), (Some(AutomaticBatch::Free), 8));
        assert_eq!(train("[train]\nbatch = 'auto'\n", Flags::default()).automatic_batch, Some(AutomaticBatch::Free));
        let named = train("[train]\nbatch = 32\naccumulation = 2\n", auto());
        assert_eq!((named.automatic_batch, named.batch, named.accumulation), (Some(AutomaticBatch::OfStep), 32, 2));
        let flag = Flags { batch: Some(BatchSize::Rows(4)), ..Flags::default() };
        let number = train("[train]\nbatch = 'auto'\n", flag);
        assert_eq!((number.automatic_batch, number.batch), (None, 4));
    }

    #[test]
    fn a_model_on_the_command_line_replaces_that_of_the_file() {
        let file = "[model]\npreset = 'llama-tiny'\nnum_blocks = 6\n[train]\nmax_time = '10s'\n";
        let configuration = resolve(file, Flags::default(), ModelBase::Preset("xlstm-tiny".into())).unwrap();
        assert_eq!(configuration.model.num_blocks, 4);
        assert_eq!(configuration.train.max_time.as_deref(), Some("10s"));
        let mut given = presets::find("llama-tiny").unwrap().model;
        given.num_blocks = 2;
        let configuration = resolve(file, Flags::default(), ModelBase::Given(Box::new(given.clone()))).unwrap();
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
