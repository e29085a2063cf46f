//! The keys of two models compared: those of a configuration with those of weights that there are.

use gradus_models::configuration::ModelConfiguration;
use toml::{Table, Value};

use super::document::Document;
use super::layers::internal;
use crate::error::{Result, TrainerError};

/// The first key in which two models differ, with the value of each.
///
/// # Errors
/// If a value has no form in TOML, which no model has.
pub fn first_difference(
    left: &ModelConfiguration,
    right: &ModelConfiguration,
) -> Result<Option<(String, [String; 2])>> {
    let (left, right) = (table_of(left)?, table_of(right)?);
    let shown = |value: Option<&Value>| value.map_or("not set".into(), |value| value.to_string());
    let differs = left.keys().chain(right.keys()).find(|key| left.get(*key) != right.get(*key));
    Ok(differs.map(|key| (key.clone(), [shown(left.get(key)), shown(right.get(key))])))
}

/// The keys of a model.
pub(super) fn table_of(model: &ModelConfiguration) -> Result<Table> {
    Table::try_from(model).map_err(|error| internal(&error))
}

/// Keys of a model that may differ from those of the weights it starts from: they are no part of its shape.
const FREE_KEYS: [&str; 2] = ["context_length", "chunk_size"];

/// Refuses a document that says something else of the model than the weights, by its own keys or those of its preset.
pub(super) fn refuse_contradictions(weights: &Table, document: &Document, preset: Option<&Table>) -> Result<()> {
    let Some(Value::Table(own)) = document.sections.get("model") else { return Ok(()) };
    let of_preset = preset.filter(|_| own.contains_key("preset")).into_iter().flatten();
    // The vocabulary of a preset is that of the data.
    let of_preset =
        of_preset.filter(|(key, _)| *key != "vocab_size" && !own.contains_key(*key)).map(|pair| ("preset", pair));
    let own = own.iter().filter(|(key, _)| *key != "preset").map(|pair| (pair.0.as_str(), pair));
    for (place, (key, value)) in own.chain(of_preset).filter(|(_, (key, _))| !FREE_KEYS.contains(&key.as_str())) {
        let there = weights.get(key);
        if there.is_none_or(|there| !is_same(there, value)) {
            let there = there.map_or("does not have it".into(), |there| format!("has {there}"));
            return Err(TrainerError::Configuration {
                place: document.place("model", place),
                message: format!("`{key}` is {value}, and the model that the run starts from {there}"),
                hint: Some("leave out the key, or train a new model without --init".into()),
            });
        }
    }
    Ok(())
}

/// Whether two values are the same, be they whole numbers or not.
fn is_same(left: &Value, right: &Value) -> bool {
    let number = |value: &Value| value.as_float().or_else(|| value.as_integer().map(|whole| whole as f64));
    match (number(left), number(right)) {
        (Some(left), Some(right)) => left == right,
        _ => left == right,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::configuration::{Flags, Layers, ModelBase};
    use gradus_models::configuration::presets;

    #[test]
    fn weights_to_start_from_give_the_shape_and_are_not_contradicted() {
        let mut weights = presets::find("llama-tiny").unwrap().model;
        (weights.num_blocks, weights.vocab_size) = (2, 300);
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.toml");
        let with = |file: &str, set: &[&str]| {
            std::fs::write(&path, file).unwrap();
            let set = set.iter().map(|text| text.to_string()).collect();
            let layers = Layers::read(Some(&path), Flags { set, ..Flags::default() })?;
            layers.resolve_with(ModelBase::FileOr("xlstm-tiny"), Some(&weights), 256)
        };
        let configuration = with("[train]\nbatch = 3\n", &[]).unwrap();
        assert_eq!((&configuration.model, configuration.train.batch, configuration.preset), (&weights, 3, None));
        // Keys that say the same, and those that are not of the shape.
        let same = "[model]\npreset = 'llama-tiny'\nnum_blocks = 2\nrope_theta = 10000\n";
        let configuration = with(same, &["model.context_length=99"]).unwrap();
        assert_eq!((configuration.model.num_blocks, configuration.model.context_length), (2, 99));
        assert_eq!(configuration.preset.as_deref(), Some("llama-tiny"));
        let refused = |file: &str, set: &[&str]| {
            let error = with(file, set).unwrap_err().to_string();
            error.replace(path.to_str().unwrap(), "a.toml")
        };
        let preset = refused("[model]\npreset = 'llama-tiny'\n", &[]);
        assert_eq!(preset, "a.toml:2: `num_blocks` is 4, and the model that the run starts from has 2");
        let family = refused("\n[model]\narchitecture = 'xlstm'\n", &[]);
        assert_eq!(
            family,
            "a.toml:3: `architecture` is \"xlstm\", and the model that the run starts from has \"transformer\""
        );
        let assigned = refused("", &["model.num_heads=8"]);
        assert!(assigned.starts_with("--set model.num_heads=8: `num_heads` is 8, and"), "{assigned}");
        let foreign = refused("[model]\ncell_eps = 1e-6\n", &[]);
        assert!(foreign.ends_with("does not have it"), "{foreign}");
    }

    #[test]
    fn the_first_difference_is_named_with_both_values() {
        let model = presets::find("llama-tiny").unwrap().model;
        assert_eq!(first_difference(&model, &model).unwrap(), None);
        let mut other = model.clone();
        other.num_blocks = 7;
        let named = ("num_blocks".into(), ["4".into(), "7".into()]);
        assert_eq!(first_difference(&model, &other).unwrap(), Some(named));
        let xlstm = presets::find("xlstm-tiny").unwrap().model;
        assert_eq!(first_difference(&xlstm, &model).unwrap().unwrap().0, "architecture");
    }
}
