//! JSON with a checksum over its meaning, for small files on which larger ones depend.

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::data::tokens::hexadecimal;

/// The text of a file: the fields of `content`, and a checksum over them.
///
/// # Errors
/// If a number has no form in JSON.
pub fn text(content: &impl Serialize) -> Result<String, String> {
    let mut value = serde_json::to_value(content).map_err(|error| error.to_string())?;
    let checksum = checksum(&value);
    if let Value::Object(fields) = &mut value {
        fields.insert("checksum".into(), Value::String(checksum));
    }
    serde_json::to_string_pretty(&value).map(|text| text + "\n").map_err(|error| error.to_string())
}

/// Reads what [`text`] wrote and checks it against its checksum.
///
/// # Errors
/// Says what is wrong with it.
pub fn parse<T: DeserializeOwned>(text: &str) -> Result<T, String> {
    let mut value: Value = serde_json::from_str(text).map_err(|error| format!("is not JSON: {error}"))?;
    let stated = value.as_object_mut().and_then(|fields| fields.remove("checksum"));
    let stated = stated.as_ref().and_then(Value::as_str).ok_or("has no checksum")?;
    if stated != checksum(&value) {
        return Err("does not match its checksum: it was changed or damaged".into());
    }
    serde_json::from_value(value).map_err(|error| error.to_string())
}

/// Over the compact text, whose keys are sorted: white space does not count.
fn checksum(value: &Value) -> String {
    hexadecimal(&Sha256::digest(value.to_string().as_bytes()))
}
