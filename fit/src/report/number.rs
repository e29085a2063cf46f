//! Numbers as people read them.

/// `718 M`, `17.9 B`, `1.0e20`: three digits with a unit where there is one.
pub fn quantity(value: f64) -> String {
    if !value.is_finite() {
        return "unknown".into();
    }
    let size = value.abs();
    for (limit, unit) in [(1e12, "T"), (1e9, "B"), (1e6, "M"), (1e3, "k")] {
        if (limit..limit * 1e3).contains(&size) {
            return format!("{} {unit}", digits(value / limit));
        }
    }
    if (1e-3..1e3).contains(&size) || value == 0.0 { digits(value) } else { format!("{value:.3e}") }
}

/// Three significant digits without an exponent.
fn digits(value: f64) -> String {
    let size = value.abs();
    let places = if size >= 100.0 {
        0
    } else if size >= 10.0 {
        1
    } else if size >= 1.0 {
        2
    } else {
        (2.0 - size.max(1e-6).log10().floor()) as usize
    };
    format!("{value:.places$}")
}

/// A value with its error, digits by the error: `0.5749 ± 0.0030`; without one if it is not known.
pub fn with_error(value: f64, error: f64) -> String {
    if error == 0.0 {
        return format!("{value:.6} (held)");
    }
    if !error.is_finite() {
        return format!("{value:.6e} ± not determined");
    }
    let size = value.abs().max(error);
    if (1e-3..1e5).contains(&size) {
        let places = (1.0 - error.log10().floor()).clamp(0.0, 9.0) as usize;
        format!("{value:.places$} ± {error:.places$}")
    } else {
        let places = (1.0 + size.log10().floor() - error.log10().floor()).clamp(1.0, 9.0) as usize;
        format!("{value:.places$e} ± {error:.1e}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_read_well() {
        assert_eq!(quantity(718.05e6), "718 M");
        assert_eq!(quantity(17.92e9), "17.9 B");
        assert_eq!(quantity(1e20), "1.000e20");
        assert_eq!(quantity(0.0123), "0.0123");
        assert_eq!(quantity(f64::INFINITY), "unknown");
        assert_eq!(with_error(0.574909, 0.003047), "0.5749 ± 0.0030");
        assert_eq!(with_error(2.0014e14, 1.2e12), "2.001e14 ± 1.2e12");
        assert!(with_error(1.0, f64::INFINITY).contains("not determined"));
    }
}
