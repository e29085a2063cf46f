//! Readers of the numbers on the command line.

use crate::configuration::BatchSize;
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

/// A number above 0 and below 1.
///
/// # Errors
/// Says what is allowed.
pub fn below_one(text: &str) -> Result<f64, String> {
    number(text, "above 0 and below 1", |x| x > 0.0 && x < 1.0)
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

/// A size of a batch, or `auto`.
///
/// # Errors
/// Says what is allowed.
pub fn batch(text: &str) -> Result<BatchSize, String> {
    match text {
        "auto" => Ok(BatchSize::Auto),
        number => size(number).map(BatchSize::Rows).map_err(|problem| problem + ", or auto"),
    }
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

/// A size in bytes: a number with nothing, kB, MB, GB, TB or KiB, MiB, GiB, TiB behind it.
///
/// # Errors
/// Says what is allowed.
pub fn bytes(text: &str) -> Result<u64, String> {
    let units = [
        ("KiB", 1u64 << 10),
        ("MiB", 1 << 20),
        ("GiB", 1 << 30),
        ("TiB", 1 << 40),
        ("kB", 1000),
        ("MB", 1_000_000),
        ("GB", 1_000_000_000),
        ("TB", 1_000_000_000_000),
        ("B", 1),
    ];
    let found = units.into_iter().find_map(|(unit, size)| Some((text.strip_suffix(unit)?, size)));
    let (digits, size) = found.unwrap_or((text, 1));
    let number = number(digits.trim(), "above 0, perhaps with a unit such as 24GiB", |x| x > 0.0)?;
    let bytes = number * size as f64;
    if bytes < 9e18 { Ok(bytes as u64) } else { Err("it is more than any device has".into()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_have_units() {
        for (text, size) in [("24GiB", 24 << 30), ("1.5kB", 1500), ("80 GB", 80_000_000_000), ("12", 12), ("7B", 7)] {
            assert_eq!(bytes(text), Ok(size), "{text}");
        }
        for text in ["", "GiB", "-1GiB", "0", "1e30GiB", "4 gigs"] {
            assert!(bytes(text).is_err(), "{text}");
        }
    }
}
