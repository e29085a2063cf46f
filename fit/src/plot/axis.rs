//! From values to positions, and round numbers along the way.

use super::Plot;

/// A linear or logarithmic axis over an interval.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Axis {
    low: f64,
    high: f64,
    log: bool,
}

impl Axis {
    /// The axis over all values, with a margin of 4 %.
    fn over(values: impl Iterator<Item = f64>, log: bool) -> Self {
        let (mut low, mut high) = (f64::INFINITY, f64::NEG_INFINITY);
        for v in values {
            let v = if log { v.log10() } else { v };
            if v.is_finite() {
                (low, high) = (low.min(v), high.max(v));
            }
        }
        if low > high {
            (low, high) = (0.0, 1.0);
        }
        let margin = if high > low { 0.04 * (high - low) } else { 0.5 * low.abs().max(0.1) };
        Self { low: low - margin, high: high + margin, log }
    }

    pub fn of(plot: &Plot) -> (Self, Self) {
        let points = || plot.series.iter().flat_map(|s| s.points.iter());
        (Self::over(points().map(|p| p.0), plot.x_log), Self::over(points().map(|p| p.1), plot.y_log))
    }

    /// Position between 0 and 1; None for values that cannot be shown.
    pub fn place(&self, value: f64) -> Option<f64> {
        let v = if self.log { value.log10() } else { value };
        let t = (v - self.low) / (self.high - self.low);
        (t.is_finite() && (-0.001..=1.001).contains(&t)).then_some(t)
    }

    /// Marks with labels, about `count` of them.
    pub fn ticks(&self, count: usize) -> Vec<(f64, String)> {
        if self.log {
            return self.log_ticks(count);
        }
        let rough = (self.high - self.low) / count as f64;
        let power = 10f64.powf(rough.log10().floor());
        let step = [1.0, 2.0, 5.0, 10.0].iter().map(|m| m * power).find(|s| *s >= rough).unwrap_or(10.0 * power);
        let first = (self.low / step).ceil() as i64;
        let last = (self.high / step).floor() as i64;
        (first..=last).map(|k| k as f64 * step).map(|v| (v, label(v, step))).collect()
    }

    fn log_ticks(&self, count: usize) -> Vec<(f64, String)> {
        let decades = self.high - self.low;
        if decades < 0.5 {
            // Less than a factor of three: evenly spaced marks read better.
            let (low, high) = (10f64.powf(self.low), 10f64.powf(self.high));
            return Self { low, high, log: false }.ticks(count);
        }
        let multiples: &[f64] = if decades < 0.9 {
            &[1.0, 1.5, 2.0, 3.0, 4.0, 5.0, 7.0]
        } else if decades < 1.6 {
            &[1.0, 2.0, 3.0, 5.0]
        } else if decades < 3.0 {
            &[1.0, 3.0]
        } else {
            &[1.0]
        };
        let stride = ((decades / count as f64).ceil() as i32).max(1);
        let mut ticks = Vec::new();
        for power in (self.low.floor() as i32)..=(self.high.ceil() as i32) {
            if power.rem_euclid(stride) != 0 {
                continue;
            }
            for m in multiples {
                let value = m * 10f64.powi(power);
                if (self.low..=self.high).contains(&value.log10()) {
                    // A tenth of the value: 1.5 is not 2.
                    ticks.push((value, label(value, 0.1 * value)));
                }
            }
        }
        ticks
    }
}

/// A short number: `0.25`, `3000`, `1e20`, in steps of `step`.
fn label(value: f64, step: f64) -> String {
    let size = value.abs();
    if value != 0.0 && !(1e-3..1e5).contains(&size) {
        let text = format!("{value:.2e}");
        let (mantissa, exponent) = text.split_once('e').unwrap_or((&text, "0"));
        let mantissa = mantissa.trim_end_matches('0').trim_end_matches('.');
        return format!("{mantissa}e{exponent}");
    }
    let digits = (-(step.abs().max(1e-12)).log10()).ceil().clamp(0.0, 6.0) as usize;
    let text = format!("{value:.*}", digits + usize::from(step < 1.0));
    if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.').to_string() } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_say_the_value_they_stand_at() {
        for (low, high) in
            [(2.1, 3.5), (0.9, 1.1), (1.2, 4.9), (0.004, 0.05), (1e8, 3e9), (3e18, 6e22), (7.0, 7.3), (0.3, 12.0)]
        {
            for log in [true, false] {
                let axis = Axis::over([low, high].into_iter(), log);
                let ticks = axis.ticks(6);
                assert!((2..=16).contains(&ticks.len()), "{low} to {high}, log {log}: {ticks:?}");
                for (value, label) in ticks {
                    let shown: f64 = label.parse().expect("a number");
                    assert!((shown - value).abs() <= 1e-6 * value.abs() + 1e-12 * high, "{label} stands at {value}");
                }
            }
        }
    }
}
