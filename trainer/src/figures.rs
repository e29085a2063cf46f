//! Numbers as people read them: 1.23 M, 4.5 GiB, 3m20s.

/// A count with a unit of thousands: 950, 16.3 k, 6.87 G.
pub fn count(number: f64) -> String {
    let units = [(1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k")];
    match units.into_iter().find(|(size, _)| number >= *size) {
        Some((size, unit)) => format!("{} {unit}", three_digits(number / size)),
        None => three_digits(number),
    }
}

/// A size in bytes with a unit of 1024s: 812 B, 4.50 GiB.
pub fn bytes(bytes: u64) -> String {
    let units = [(40, "TiB"), (30, "GiB"), (20, "MiB"), (10, "KiB")];
    match units.into_iter().find(|(shift, _)| bytes >> shift > 0) {
        Some((shift, unit)) => format!("{} {unit}", three_digits(bytes as f64 / (1u64 << shift) as f64)),
        None => format!("{bytes} B"),
    }
}

/// A length of time to the second: 45s, 3m20s, 2h05m.
pub fn time(seconds: f64) -> String {
    let whole = seconds.max(0.0).round() as u64;
    match whole {
        0..60 => format!("{whole}s"),
        60..3600 => format!("{}m{:02}s", whole / 60, whole % 60),
        _ => format!("{}h{:02}m", whole / 3600, whole / 60 % 60),
    }
}

fn three_digits(number: f64) -> String {
    let decimals = match number {
        x if x.fract() == 0.0 => 0,
        x if x < 9.995 => 2,
        x if x < 99.95 => 1,
        _ => 0,
    };
    format!("{number:.decimals$}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_short() {
        for (number, text) in [
            (0.0, "0"),
            (950.0, "950"),
            (16_345.0, "16.3 k"),
            (867_000.0, "867 k"),
            (6_865_424_896.0, "6.87 G"),
            (9.996e6, "10.0 M"),
        ] {
            assert_eq!(count(number), text);
        }
        for (size, text) in [(0, "0 B"), (1023, "1023 B"), (1 << 20, "1 MiB"), (4_831_838_208, "4.50 GiB")] {
            assert_eq!(bytes(size), text);
        }
        for (seconds, text) in [(0.4, "0s"), (59.7, "1m00s"), (200.0, "3m20s"), (7500.0, "2h05m"), (-1.0, "0s")] {
            assert_eq!(time(seconds), text);
        }
    }
}
