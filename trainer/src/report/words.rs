//! Numbers and names as the report writes them.

use gradus_fit::report::quantity;
use serde_json::Value;

/// An architecture's name as people write it.
pub fn architecture(name: &str) -> &str {
    match name {
        "xlstm" => "xLSTM",
        "transformer" => "Transformer",
        other => other,
    }
}

/// A group of runs: "xLSTM, context 2048".
pub fn group(of: &[(String, String)]) -> String {
    let name = |(column, value): &(String, String)| match column.as_str() {
        "arch" => architecture(value).to_owned(),
        "ctx" => format!("context {value}"),
        "model" => value.clone(),
        other => format!("{other} {value}"),
    };
    let words = of.iter().map(name).collect::<Vec<_>>().join(", ");
    // At the start of a sentence.
    if words.starts_with("context") { words.replacen('c', "C", 1) } else { words }
}

/// FLOPs with three digits.
pub fn flops(value: f64) -> String {
    format!("{value:.2e}")
}

/// A count, such as of parameters.
pub fn count(value: f64) -> String {
    quantity(value)
}

/// A whole number, digit by digit, such as a context length.
pub fn whole(value: f64) -> String {
    format!("{value}")
}

/// Four decimals.
pub fn decimal(value: f64) -> String {
    format!("{value:.4}")
}

/// The number in a field, NaN where it is not known.
pub fn number(value: &Value, pointer: &str) -> f64 {
    value.pointer(pointer).and_then(Value::as_f64).unwrap_or(f64::NAN)
}

/// The ends of an interval of the fitter's; `None` where one of them is not known.
pub fn ends(value: &Value, pointer: &str) -> Option<(f64, f64)> {
    let interval = value.pointer(pointer)?;
    Some((interval["low"].as_f64()?, interval["high"].as_f64()?))
}

/// "0.51 to 0.58", or "not known".
pub fn range(ends: Option<(f64, f64)>, write: impl Fn(f64) -> String) -> String {
    match ends {
        Some((low, high)) => format!("{} to {}", write(low), write(high)),
        None => "not known".into(),
    }
}

/// What values lie between, or the one that all of them are.
pub fn between(values: impl Iterator<Item = f64>, write: impl Fn(f64) -> String) -> String {
    let (low, high) = values.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), v| (low.min(v), high.max(v)));
    let (low, high) = (write(low), write(high));
    if low == high { low } else { format!("{low} to {high}") }
}

/// "0.547 (95 %: 0.51 to 0.58)".
pub fn with_range(value: f64, ends: Option<(f64, f64)>, write: impl Fn(f64) -> String) -> String {
    let range = range(ends, &write);
    format!("{} (95 %: {range})", write(value))
}

/// Whether two intervals have a point in common.
pub fn overlap(one: (f64, f64), other: (f64, f64)) -> bool {
    one.0 <= other.1 && other.0 <= one.1
}

/// "1 run", "3 runs".
pub fn counted(number: usize, thing: &str) -> String {
    format!("{number} {thing}{}", if number == 1 { "" } else { "s" })
}
