//! Lengths of time as people write them: `5m`, `1h30m`, `90s`.

use std::time::Duration;

const UNITS: [(&str, f64); 4] = [("d", 86_400.0), ("h", 3_600.0), ("m", 60.0), ("s", 1.0)];

/// Reads a length of time: numbers with the units d, h, m (or min), s, largest first; a number alone is
/// seconds.
///
/// # Errors
/// Says what is wrong if it is not one, is zero, or is longer than ten years.
pub fn parse(text: &str) -> Result<Duration, String> {
    let wrong = || format!("`{text}` is not a length of time; write it as 90s, 5m or 1h30m");
    let mut rest = text;
    let mut seconds = 0.0;
    let mut smallest = f64::INFINITY;
    while !rest.is_empty() {
        let end = rest.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(rest.len());
        let (number, tail) = rest.split_at(end);
        let number: f64 = number.parse().map_err(|_| wrong())?;
        let (unit, tail) = tail.split_at(tail.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(tail.len()));
        let unit = match unit {
            "" if rest.len() == text.len() => 1.0,
            "min" => 60.0,
            unit => UNITS.iter().find(|(known, _)| *known == unit).ok_or_else(wrong)?.1,
        };
        if unit >= smallest {
            return Err(wrong());
        }
        smallest = unit;
        seconds += number * unit;
        rest = tail;
    }
    if seconds == 0.0 {
        return Err(if text.is_empty() {
            wrong()
        } else {
            format!("`{text}` is no time at all; it must be above zero")
        });
    }
    if seconds > 3_660.0 * 86_400.0 {
        return Err(format!("`{text}` is longer than ten years"));
    }
    Ok(Duration::from_secs_f64(seconds))
}

/// Writes a length of time so that [`parse`] reads it, to the millisecond.
pub fn format(duration: Duration) -> String {
    let mut rest = (duration.as_secs_f64() * 1e3).round() as u64;
    let mut text = String::new();
    for (unit, seconds) in &UNITS[..3] {
        let size = *seconds as u64 * 1000;
        if rest >= size {
            text += &format!("{}{unit}", rest / size);
            rest %= size;
        }
    }
    if rest > 0 || text.is_empty() {
        text += &format!("{}s", rest as f64 / 1e3);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read() {
        for (text, seconds) in [
            ("5m", 300.0),
            ("90", 90.0),
            ("1h30m", 5400.0),
            ("0.5s", 0.5),
            ("1d2h3m4s", 93_784.0),
            ("1.5h", 5400.0),
            ("20min", 1200.0),
            ("1h5min", 3900.0),
        ] {
            assert_eq!(parse(text).unwrap().as_secs_f64(), seconds, "{text}");
        }
    }

    #[test]
    fn what_is_no_time_is_refused() {
        for text in ["", "0", "0s", "m", "5x", "-5m", "5m5", "5m1h", "5m5m", "nan", "inf", "1e9", "1.2.3s", "99999999d"]
        {
            assert!(parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn what_is_written_is_read() {
        for text in ["5m", "1h30m", "1.5s", "2d", "1h0.25s"] {
            assert_eq!(format(parse(text).unwrap()), text);
        }
    }
}
