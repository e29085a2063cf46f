//! The rotary embedding's keys: `rope_theta` and `rope_scaling` up to transformers 4, `rope_parameters` from 5 on.

use serde_json::{Map, Value, json};

use super::keys::Keys;
use crate::Result;
use crate::configuration::{DEFAULT_ROPE_THETA, RopeScaling, RopeType};

/// Base and scaling, of whichever keys are there; those of several must agree. `context` is `max_position_embeddings`, which
/// stands for the first context where a file of the type `llama3` names none.
pub(super) fn read(keys: &Keys, context: usize) -> Result<(f64, RopeScaling)> {
    let mut theta = keys.number("rope_theta")?.map(|theta| ("rope_theta".to_owned(), theta));
    let mut scaling: Option<(&str, RopeScaling)> = None;
    for name in ["rope_scaling", "rope_parameters"] {
        let rope = match keys.map.get(name) {
            None | Some(Value::Null) => continue,
            Some(Value::Object(rope)) => rope,
            Some(other) => return Err(keys.error(format!("`{name}` must be an object or null, it is {other}"))),
        };
        let rope = Rope { keys, name, rope };
        if let Some(part) = rope.rope.get("partial_rotary_factor").filter(|part| part.as_f64() != Some(1.0)) {
            return Err(keys.error(format!("`{name}.partial_rotary_factor` is {part}; only 1 is implemented")));
        }
        if let Some(found) = rope.number("rope_theta")? {
            let path = format!("{name}.rope_theta");
            match &theta {
                Some((other, before)) if *before != found => {
                    let message = format!("`{other}` is {before} but `{path}` is {found}; they mean the same");
                    return Err(keys.error(message));
                }
                _ => theta = Some((path, found)),
            }
        }
        if let Some(found) = rope.scaling(context)? {
            match scaling {
                Some((other, before)) if before != found => {
                    let message = format!("`{other}` says {before:?} but `{name}` {found:?}; they mean the same");
                    return Err(keys.error(message));
                }
                _ => scaling = Some((name, found)),
            }
        }
    }
    let theta = theta.map_or(DEFAULT_ROPE_THETA, |(_, theta)| theta);
    Ok((theta, scaling.map_or(RopeScaling::Unscaled, |(_, scaling)| scaling)))
}

/// One of the two objects.
struct Rope<'a> {
    keys: &'a Keys<'a>,
    name: &'a str,
    rope: &'a Map<String, Value>,
}

impl Rope<'_> {
    fn number(&self, key: &str) -> Result<Option<f64>> {
        let Some(value) = self.rope.get(key).filter(|value| !value.is_null()) else { return Ok(None) };
        let problem = || self.keys.error(format!("`{}.{key}` must be a number, it is {value}", self.name));
        value.as_f64().map(Some).ok_or_else(problem)
    }

    fn needed(&self, key: &str, rope_type: RopeType) -> Result<f64> {
        let problem = || {
            let (name, rope_type) = (self.name, rope_type.name());
            self.keys.error(format!("`{name}.{key}` is missing; the rotary type \"{rope_type}\" needs it"))
        };
        self.number(key)?.ok_or_else(problem)
    }

    /// The scaling, if a type is named: as `rope_type`, or in older files as `type`.
    fn scaling(&self, context: usize) -> Result<Option<RopeScaling>> {
        let named = ["rope_type", "type"].into_iter().find_map(|key| {
            let value = self.rope.get(key).filter(|value| !value.is_null())?;
            Some((key, value))
        });
        let Some((key, value)) = named else { return Ok(None) };
        let rope_type = RopeType::ALL.into_iter().find(|rope_type| value.as_str() == Some(rope_type.name()));
        let Some(rope_type) = rope_type else {
            let known: Vec<String> = RopeType::ALL.iter().map(|known| format!("\"{}\"", known.name())).collect();
            let message = format!(
                "`{}.{key}` asks for the rotary type {value}, which is not implemented; {} work",
                self.name,
                known.join(", ")
            );
            return Err(self.keys.error(message));
        };
        let number = |key| self.needed(key, rope_type);
        Ok(Some(match rope_type {
            RopeType::Default => RopeScaling::Unscaled,
            RopeType::Linear => RopeScaling::Linear { factor: number("factor")? },
            RopeType::Llama3 => RopeScaling::Llama3 {
                factor: number("factor")?,
                low: number("low_freq_factor")?,
                high: number("high_freq_factor")?,
                original_context: self.original_context()?.unwrap_or(context),
            },
        }))
    }

    fn original_context(&self) -> Result<Option<usize>> {
        let own = Keys { path: self.keys.path, map: self.rope };
        let outside = self.keys.size(&["original_max_position_embeddings"])?;
        match (own.size(&["original_max_position_embeddings"])?, outside) {
            (Some(own), Some(outside)) if own != outside => {
                let message = format!(
                    "`original_max_position_embeddings` is {outside} but {own} in `{}`; they mean the same",
                    self.name
                );
                Err(self.keys.error(message))
            }
            (own, outside) => Ok(own.or(outside)),
        }
    }
}

/// Puts the keys of both versions of transformers into a configuration.
pub(super) fn write(map: &mut Map<String, Value>, theta: f64, scaling: RopeScaling) {
    let mut rope = Map::new();
    rope.insert("rope_type".into(), scaling.rope_type().name().into());
    match scaling {
        RopeScaling::Unscaled => {}
        RopeScaling::Linear { factor } => {
            rope.insert("factor".into(), json!(factor));
        }
        RopeScaling::Llama3 { factor, low, high, original_context } => {
            rope.insert("factor".into(), json!(factor));
            rope.insert("low_freq_factor".into(), json!(low));
            rope.insert("high_freq_factor".into(), json!(high));
            rope.insert("original_max_position_embeddings".into(), json!(original_context));
        }
    }
    map.insert("rope_theta".into(), json!(theta));
    if scaling != RopeScaling::Unscaled {
        map.insert("rope_scaling".into(), Value::Object(rope.clone()));
    }
    rope.insert("rope_theta".into(), json!(theta));
    map.insert("rope_parameters".into(), Value::Object(rope));
}
