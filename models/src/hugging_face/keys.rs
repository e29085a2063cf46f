//! The keys of a configuration file, with messages that name the file and the key.

use std::path::Path;

use serde_json::{Map, Value};

use crate::{Error, Result};

/// The keys of a file.
pub(super) struct Keys<'a> {
    pub path: &'a Path,
    pub map: &'a Map<String, Value>,
}

impl Keys<'_> {
    pub(super) fn error(&self, message: String) -> Error {
        Error::content(self.path, message)
    }

    /// A whole number under any of `names`; they must agree where several are there.
    pub(super) fn size(&self, names: &[&str]) -> Result<Option<usize>> {
        let mut found: Option<(&str, usize)> = None;
        for name in names {
            let Some(value) = self.map.get(*name).filter(|value| !value.is_null()) else { continue };
            let size = value
                .as_u64()
                .map(|size| size as usize)
                .ok_or_else(|| self.error(format!("`{name}` must be a whole number, it is {value}")))?;
            match found {
                Some((other, seen)) if seen != size => {
                    return Err(self.error(format!("`{other}` is {seen} but `{name}` is {size}; they mean the same")));
                }
                _ => found = Some((name, size)),
            }
        }
        Ok(found.map(|(_, size)| size))
    }

    pub(super) fn required(&self, names: &[&str]) -> Result<usize> {
        self.size(names)?.ok_or_else(|| self.error(format!("`{}` is missing", names.join("` or `"))))
    }

    pub(super) fn number(&self, name: &str) -> Result<Option<f64>> {
        match self.map.get(name) {
            None | Some(Value::Null) => Ok(None),
            Some(value) => {
                let number = value.as_f64();
                number.map(Some).ok_or_else(|| self.error(format!("`{name}` must be a number, it is {value}")))
            }
        }
    }

    /// Token ids: one, a list, or none.
    pub(super) fn tokens(&self, name: &str) -> Result<Vec<u32>> {
        let id = |value: &Value| {
            value.as_u64().and_then(|id| u32::try_from(id).ok()).ok_or_else(|| {
                self.error(format!("`{name}` must be a token id, a list of them, or null, it is {value}"))
            })
        };
        match self.map.get(name) {
            None | Some(Value::Null) => Ok(Vec::new()),
            Some(Value::Array(list)) => list.iter().map(id).collect(),
            Some(value) => Ok(vec![id(value)?]),
        }
    }

    pub(super) fn flag(&self, name: &str) -> Result<bool> {
        match self.map.get(name) {
            None | Some(Value::Null) => Ok(false),
            Some(value) => {
                value.as_bool().ok_or_else(|| self.error(format!("`{name}` must be true or false, it is {value}")))
            }
        }
    }
}
