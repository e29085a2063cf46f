//! Readers of the numbers on the command line.

use crate::configuration::keys::{LARGEST_COUNT, LARGEST_SIZE};

fn number(text: &str, allowed: &str, accept: impl Fn(f64) -> bool) -> Result<f64, String> {
    let number: f64 = text.parse().map_err(|_| format!("it must be a number {allowed}"))?;
    if number.is_finite() && accept(number) { Ok(number) } else { Err(format!("it must be {allowed}")) }
}

/// A finite number above zero.
///
/// # Errors
/// Says what is allowed.
pub fn positive(text: &str) -> Result<f64, String> {
    number(text, "above zero and finite", |x| x > 0.0)
}

/// A finite number of at least zero.
///
/// # Errors
/// Says what is allowed.
pub fn non_negative(text: &str) -> Result<f64, String> {
    number(text, "at least zero and finite", |x| x >= 0.0)
}

/// A number above 0, at most 1.
///
/// # Errors
/// Says what is allowed.
pub fn share(text: &str) -> Result<f64, String> {
    number(text, "above 0 and at most 1", |x| x > 0.0 && x <= 1.0)
}

fn whole(text: &str, least: u64, most: u64) -> Result<u64, String> {
    let number = text.parse().ok().filter(|number| (least..=most).contains(number));
    number.ok_or_else(|| format!("it must be a whole number from {least} to {most}"))
}

/// A whole number of at least 1.
///
/// # Errors
/// Says what is allowed.
pub fn count(text: &str) -> Result<u64, String> {
    whole(text, 1, LARGEST_COUNT)
}

/// A whole number of at least 1 that may be a size in memory.
///
/// # Errors
/// Says what is allowed.
pub fn size(text: &str) -> Result<u64, String> {
    whole(text, 1, LARGEST_SIZE)
}

/// A seed: a whole number of at least 0.
///
/// # Errors
/// Says what is allowed.
pub fn seed(text: &str) -> Result<u64, String> {
    whole(text, 0, LARGEST_COUNT)
}

/// A length of time, given back in its own words.
///
/// # Errors
/// Says what is allowed.
pub fn time(text: &str) -> Result<String, String> {
    crate::duration::parse(text).map(|_| text.to_string())
}
