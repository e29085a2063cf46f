//! A sweep's plan: the TOML file that says what is trained. `docs/sweep.md` explains every key.

use std::path::{Path, PathBuf};

use gradus_models::configuration::Architecture;
use serde::{Deserialize, Serialize};
use toml::de::DeTable;

use crate::configuration::Mode;
use crate::configuration::document::line_of;
use crate::configuration::keys::nearest;
use crate::error::{Result, TrainerError};

/// The plans that ship with gradus, by name.
pub const PRESETS: [(&str, &str); 1] = [("demo", include_str!("presets/demo.toml"))];

/// Every key of a plan.
const KEYS: [&str; 21] = [
    "study",
    "architectures",
    "budgets",
    "parameters",
    "ratios",
    "learning_rate_factors",
    "contexts",
    "sizes",
    "spread",
    "tokens_per_parameter",
    "width_step",
    "aspect",
    "batch_tokens",
    "learning_rate",
    "learning_rate_scale",
    "seeds",
    "data",
    "validation_fraction",
    "max_epochs",
    "evaluation_tokens",
    "precision",
];

/// What is studied.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Study {
    /// At each budget several sizes, each trained until the budget is spent.
    Isoflop,
    /// Several sizes, each trained on so many tokens for each of its parameters.
    Overtraining,
    /// At each budget several sizes, each trained at several learning rates.
    #[serde(rename = "learning_rate")]
    LearningRate,
}

impl Study {
    /// The word for it in a plan.
    pub fn name(self) -> &'static str {
        match self {
            Self::Isoflop => "isoflop",
            Self::Overtraining => "overtraining",
            Self::LearningRate => "learning_rate",
        }
    }

    /// The lists of a plan that say what its runs cost.
    fn takes(self) -> &'static str {
        match self {
            Self::Isoflop => "`budgets`",
            Self::Overtraining => "`parameters` and `ratios`",
            Self::LearningRate => "`budgets` and `learning_rate_factors`",
        }
    }

    /// The word for it in the published table of runs.
    pub fn experiment_set(self) -> &'static str {
        match self {
            Self::Isoflop => "isoflop",
            Self::Overtraining => "tokenparam",
            Self::LearningRate => "learning_rate",
        }
    }
}

/// What the learning rate is multiplied by, for each architecture.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RateScale {
    /// Of xLSTMs.
    pub xlstm: f64,
    /// Of Transformers.
    pub transformer: f64,
}

impl Default for RateScale {
    fn default() -> Self {
        Self { xlstm: 1.0, transformer: 1.0 }
    }
}

impl RateScale {
    /// That of an architecture.
    pub fn of(self, architecture: Architecture) -> f64 {
        match architecture {
            Architecture::Xlstm => self.xlstm,
            Architecture::Transformer => self.transformer,
        }
    }
}

/// A checked plan.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Plan {
    /// What is studied.
    pub study: Study,
    /// Families of models.
    pub architectures: Vec<Architecture>,
    /// Training FLOPs of a run, for IsoFLOP profiles and learning rates.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub budgets: Vec<f64>,
    /// N of the models, both embeddings included, for over-training.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub parameters: Vec<f64>,
    /// D/N of the runs, for over-training.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ratios: Vec<f64>,
    /// Multiples of the learning rate at which each model is trained, for a study of learning rates.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub learning_rate_factors: Vec<f64>,
    /// Tokens of a training sequence.
    pub contexts: Vec<usize>,
    /// Models at each budget.
    #[serde(default = "defaults::sizes")]
    pub sizes: usize,
    /// Largest over smallest number of parameters at a budget.
    #[serde(default = "defaults::spread")]
    pub spread: f64,
    /// D/N of the predicted optimum, about which the sizes lie.
    #[serde(default = "defaults::tokens_per_parameter")]
    pub tokens_per_parameter: f64,
    /// Widths are multiples of it.
    #[serde(default = "defaults::width_step")]
    pub width_step: usize,
    /// Width for each block that sizes keep near to.
    #[serde(default = "defaults::aspect")]
    pub aspect: f64,
    /// Tokens of an optimizer step; by rule if absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub batch_tokens: Option<usize>,
    /// Peak learning rate; by rule if absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub learning_rate: Option<f64>,
    /// Each run is made with each of these.
    #[serde(default = "defaults::seeds")]
    pub seeds: Vec<u64>,
    /// Text file or folder; the default text if absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub data: Option<PathBuf>,
    /// Share of the text that is held out.
    #[serde(default = "defaults::validation_fraction")]
    pub validation_fraction: f64,
    /// Most often that a run may see its text.
    #[serde(default = "defaults::max_epochs")]
    pub max_epochs: f64,
    /// Tokens of held-out text on which the loss is measured.
    #[serde(default = "defaults::evaluation_tokens")]
    pub evaluation_tokens: usize,
    /// Numbers to compute with.
    #[serde(default = "defaults::precision")]
    pub precision: Mode,
    /// What the learning rate is multiplied by, for each architecture.
    #[serde(default)]
    pub learning_rate_scale: RateScale,
}

mod defaults {
    use crate::configuration::Mode;

    pub fn sizes() -> usize {
        5
    }
    pub fn spread() -> f64 {
        8.0
    }
    pub fn tokens_per_parameter() -> f64 {
        20.0
    }
    pub fn width_step() -> usize {
        16
    }
    pub fn aspect() -> f64 {
        32.0
    }
    pub fn seeds() -> Vec<u64> {
        vec![0]
    }
    pub fn validation_fraction() -> f64 {
        0.05
    }
    pub fn max_epochs() -> f64 {
        4.0
    }
    pub fn evaluation_tokens() -> usize {
        65_536
    }
    pub fn precision() -> Mode {
        Mode::F32
    }
}

impl Plan {
    /// The plan of a preset.
    ///
    /// # Errors
    /// If there is none of this name: with the nearest.
    pub fn preset(name: &str) -> Result<Self> {
        let names = || PRESETS.iter().map(|(known, _)| *known);
        match PRESETS.iter().find(|(known, _)| *known == name) {
            Some((_, text)) => Self::parse(&format!("preset {name}"), text),
            None => Err(TrainerError::Usage {
                message: format!("--preset: there is no plan `{name}`"),
                hint: Some(format!("there are {}", names().collect::<Vec<_>>().join(", "))),
            }),
        }
    }

    /// Reads and checks a file.
    ///
    /// # Errors
    /// As [`Self::parse`], and if it cannot be read.
    pub fn read(path: &Path) -> Result<Self> {
        let text = std::fs::read_to_string(path).map_err(TrainerError::io("read", path))?;
        Self::parse(&path.display().to_string(), &text)
    }

    /// Reads and checks the text of a plan; `name` is for the messages.
    ///
    /// # Errors
    /// With the line: what is no TOML, an unknown or missing key, a value that its key does not take.
    pub fn parse(name: &str, text: &str) -> Result<Self> {
        let wrong = |line: usize, message: String, hint: Option<String>| TrainerError::Configuration {
            place: format!("{name}:{line}"),
            message,
            hint,
        };
        let broken = |error: toml::de::Error| {
            wrong(line_of(text, error.span().map_or(0, |span| span.start)), error.message().trim().into(), None)
        };
        let keys = DeTable::parse(text).map_err(broken)?;
        for key in keys.get_ref().keys() {
            let known: &str = key.get_ref();
            if !KEYS.contains(&known) {
                let hint = match nearest(known, KEYS.into_iter()) {
                    Some(meant) => format!("did you mean `{meant}`?"),
                    None => format!("a plan has {}", KEYS.join(", ")),
                };
                let line = line_of(text, key.span().start);
                return Err(wrong(line, format!("unknown key `{known}`"), Some(hint)));
            }
        }
        let plan: Self = toml::from_str(text).map_err(broken)?;
        plan.check().map_err(|(key, message)| {
            let at = keys.get_ref().keys().find(|known| known.get_ref() == key).map_or(0, |known| known.span().start);
            wrong(line_of(text, at), format!("`{key}` {message}"), None)
        })?;
        Ok(plan)
    }

    /// The key that has a value which no sweep can use, and why.
    fn check(&self) -> Result<(), (&'static str, String)> {
        let lists = [
            ("budgets", &self.budgets),
            ("parameters", &self.parameters),
            ("ratios", &self.ratios),
            ("learning_rate_factors", &self.learning_rate_factors),
        ];
        let of_study = |key: &str| self.study.takes().contains(&format!("`{key}`"));
        if let Some((key, _)) = lists.iter().find(|(key, list)| !of_study(key) && !list.is_empty()) {
            return Err((key, format!("is of another study; `{}` takes {}", self.study.name(), self.study.takes())));
        }
        let filled = [
            ("architectures", self.architectures.len()),
            ("contexts", self.contexts.len()),
            ("seeds", self.seeds.len()),
        ];
        let needed = lists.iter().filter(|(key, _)| of_study(key)).map(|(key, list)| (*key, list.len()));
        if let Some((key, _)) = filled.into_iter().chain(needed).find(|(_, length)| *length == 0) {
            return Err((key, "is empty; name at least one".into()));
        }
        if self.study == Study::Overtraining && self.contexts.len() > 1 {
            return Err(("contexts", "names several; over-training compares runs of one context".into()));
        }
        let repeated = |same: bool| if same { Err("names one twice".to_string()) } else { Ok(()) };
        repeated(has_twice(&self.architectures)).map_err(|problem| ("architectures", problem))?;
        for (key, list) in lists {
            repeated(has_twice(list)).map_err(|problem| (key, problem))?;
        }
        repeated(has_twice(&self.contexts)).map_err(|problem| ("contexts", problem))?;
        repeated(has_twice(&self.seeds)).map_err(|problem| ("seeds", problem))?;
        let listed = lists.iter().flat_map(|(key, list)| list.iter().map(|value| (*key, *value)));
        let positive = [
            ("tokens_per_parameter", self.tokens_per_parameter),
            ("aspect", self.aspect),
            ("max_epochs", self.max_epochs),
            ("learning_rate", self.learning_rate.unwrap_or(1.0)),
            ("learning_rate_scale", self.learning_rate_scale.xlstm),
            ("learning_rate_scale", self.learning_rate_scale.transformer),
        ];
        for (key, value) in listed.chain(positive) {
            if !(value.is_finite() && value > 0.0) {
                return Err((key, format!("holds {value}; it must be positive and finite")));
            }
        }
        let contexts = self.contexts.iter().map(|context| ("contexts", *context, 1));
        let least = [
            ("sizes", self.sizes, 1),
            ("width_step", self.width_step, 2),
            ("batch_tokens", self.batch_tokens.unwrap_or(1), 1),
            ("evaluation_tokens", self.evaluation_tokens, 1),
        ];
        for (key, value, least) in contexts.chain(least) {
            if value < least || value > i32::MAX as usize {
                return Err((key, format!("holds {value}; it must be from {least} to {}", i32::MAX)));
            }
        }
        if !self.width_step.is_multiple_of(2) {
            return Err(("width_step", format!("is {}; heads need even widths", self.width_step)));
        }
        if !(self.spread.is_finite() && self.spread > 1.0) {
            return Err(("spread", format!("is {}; it must be above 1", self.spread)));
        }
        if !(self.validation_fraction > 0.0 && self.validation_fraction < 1.0) {
            return Err(("validation_fraction", "must lie between 0 and 1".into()));
        }
        Ok(())
    }

    /// The plan with every key, as it stands in the sweep's folder.
    ///
    /// # Errors
    /// If a value has no form in TOML, which no checked plan holds.
    pub fn text(&self) -> Result<String> {
        let internal = |error: toml::ser::Error| TrainerError::Configuration {
            place: "plan".into(),
            message: error.to_string(),
            hint: None,
        };
        let text = toml::to_string(self).map_err(internal)?;
        Ok(format!("# The plan of this sweep: gradus sweep --out THIS_FOLDER goes on with it.\n{text}"))
    }
}

/// Whether a list has a value more than once.
pub(super) fn has_twice<T: PartialEq>(list: &[T]) -> bool {
    list.iter().enumerate().any(|(place, item)| list[..place].contains(item))
}

#[cfg(test)]
mod tests {
    use super::*;

    const LEAST: &str = "study = 'isoflop'\narchitectures = ['xlstm']\nbudgets = [1e11]\ncontexts = [64]\n";

    fn error(text: &str) -> (String, String) {
        let error = Plan::parse("p.toml", text).unwrap_err();
        assert_eq!(error.exit_code(), 2);
        (error.to_string(), error.hint().unwrap_or_default())
    }

    #[test]
    fn presets_are_sound_and_what_is_written_is_read() {
        for (name, _) in PRESETS {
            let plan = Plan::preset(name).unwrap();
            assert_eq!(Plan::parse("sweep.toml", &plan.text().unwrap()).unwrap(), plan);
        }
        assert!(Plan::preset("dmo").unwrap_err().hint().unwrap().contains("demo"));
    }

    #[test]
    fn every_key_of_the_list_is_one_of_the_plan() {
        let mut plan = Plan::parse("p.toml", LEAST).unwrap();
        (plan.batch_tokens, plan.learning_rate, plan.data) = (Some(1), Some(1.0), Some("x".into()));
        (plan.parameters, plan.ratios, plan.learning_rate_factors) = (vec![1e4], vec![20.0], vec![1.0]);
        let table: toml::Table = toml::from_str(&plan.text().unwrap()).unwrap();
        assert!(KEYS.iter().all(|key| table.contains_key(*key)) && table.len() == KEYS.len(), "{table:?}");
    }

    #[test]
    fn mistakes_name_line_key_and_the_nearest_name() {
        let with = |line: &str| error(&format!("{LEAST}{line}\n"));
        assert_eq!(with("sprad = 4.0"), ("p.toml:5: unknown key `sprad`".into(), "did you mean `spread`?".into()));
        for (line, says) in [
            ("spread = 1.0", "p.toml:5: `spread` is 1; it must be above 1"),
            ("width_step = 3", "`width_step` is 3; heads need even widths"),
            ("seeds = []", "`seeds` is empty"),
            ("seeds = [1, 1]", "`seeds` names one twice"),
            ("learning_rate = -1.0", "`learning_rate` holds -1"),
            ("sizes = 0", "`sizes` holds 0"),
            ("learning_rate_scale = { xlstm = 0.0 }", "`learning_rate_scale` holds 0"),
            ("learning_rate_scale = { lstm = 2.0 }", "p.toml:5: unknown field `lstm`"),
            ("learning_rate_factors = [1.0]", "`learning_rate_factors` is of another study"),
            ("precision = 'f8'", "p.toml:5: unknown variant"),
            ("spread = ", "p.toml:5: "),
        ] {
            let (message, _) = with(line);
            assert!(message.contains(says), "{line}: {message}");
        }
        for (line, says) in [
            ("ratios = [20]", "p.toml:5: `ratios` is of another study; `isoflop` takes `budgets`"),
            ("parameters = [1e4]", "`parameters` is of another study"),
        ] {
            assert!(with(line).0.contains(says), "{line}: {}", with(line).0);
        }
        let over = LEAST.replace("isoflop", "overtraining");
        assert!(error(&over).0.contains("p.toml:3: `budgets` is of another study"), "{}", error(&over).0);
        let over = over.replace("budgets = [1e11]", "parameters = [1e4, 3e4]");
        assert!(error(&over).0.contains("`ratios` is empty"), "{}", error(&over).0);
        let over = over.replace("[64]", "[64, 128]") + "ratios = [20, 60]\n";
        assert!(error(&over).0.contains("p.toml:4: `contexts` names several"), "{}", error(&over).0);
        let rates = LEAST.replace("isoflop", "learning_rate");
        assert!(error(&rates).0.contains("`learning_rate_factors` is empty"), "{}", error(&rates).0);
        let rates = Plan::parse("p.toml", &(rates + "learning_rate_factors = [0.5, 1.0]\n")).unwrap();
        assert_eq!((rates.study, rates.learning_rate_scale), (Study::LearningRate, RateScale::default()));
        assert!(error("study = 'isoflop'\n").0.contains("missing field `architectures`"));
        let bad = LEAST.replace("1e11", "nan");
        assert!(error(&bad).0.contains("p.toml:3: `budgets` holds NaN"), "{}", error(&bad).0);
    }
}
