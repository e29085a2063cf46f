//! Curves of a run: its finite points, fewer of them, and smoothed.

use super::metrics::Row;

/// Share of the curve over which the smoothed one averages, on either side.
const SMOOTHING: f64 = 0.02;

/// Points (x, y) in rising x.
pub type Points = Vec<(f64, f64)>;

/// What a loss is given in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// Bits a byte, which compare runs of different tokenizers.
    BitsPerByte,
    /// Nats a token.
    NatsPerToken,
}

impl Unit {
    /// Bits a byte where every run that has a loss knows them; else, as of a synthetic task, nats a token.
    pub fn of<'a>(runs: impl IntoIterator<Item = &'a [Row]>) -> Self {
        let is_known = |row: &Row| match row {
            Row::Train(row) => !row.loss.is_finite() || row.bits_per_byte.is_finite(),
            Row::Evaluation(row) => !row.validation_loss.is_finite() || row.validation_bits_per_byte.is_finite(),
            Row::Sample(_) => true,
        };
        if runs.into_iter().flatten().all(is_known) { Self::BitsPerByte } else { Self::NatsPerToken }
    }

    /// Its name on an axis.
    pub fn name(self) -> &'static str {
        match self {
            Self::BitsPerByte => "bits per byte",
            Self::NatsPerToken => "nats per token",
        }
    }
}

/// The loss over steps: the finite points of training and of evaluation.
pub fn losses(rows: &[Row], unit: Unit) -> (Points, Points) {
    let mut curves = (Vec::new(), Vec::new());
    let of = |bits: f64, nats: f64| if unit == Unit::BitsPerByte { bits } else { nats };
    for row in rows {
        match row {
            Row::Train(row) => curves.0.push((row.step as f64, of(row.bits_per_byte, row.loss))),
            Row::Evaluation(row) => {
                curves.1.push((row.step as f64, of(row.validation_bits_per_byte, row.validation_loss)));
            }
            Row::Sample(_) => {}
        }
    }
    let finite = |points: Points| points.into_iter().filter(|point| point.1.is_finite()).collect();
    (finite(curves.0), finite(curves.1))
}

/// Nats per token over tokens seen: the finite points of training and of evaluation.
pub fn loss_over_tokens(rows: &[Row]) -> (Points, Points) {
    let mut curves = (Vec::new(), Vec::new());
    let mut tokens = 0.0;
    for row in rows {
        match row {
            Row::Train(row) => {
                tokens = row.tokens as f64;
                if row.loss.is_finite() {
                    curves.0.push((tokens, row.loss));
                }
            }
            Row::Evaluation(row) if row.validation_loss.is_finite() => curves.1.push((tokens, row.validation_loss)),
            Row::Evaluation(_) | Row::Sample(_) => {}
        }
    }
    curves
}

/// Tokens a second over steps.
pub fn throughput(rows: &[Row]) -> Points {
    let point = |row: &Row| match row {
        Row::Train(row) if row.tokens_per_second.is_finite() && row.tokens_per_second > 0.0 => {
            Some((row.step as f64, row.tokens_per_second))
        }
        _ => None,
    };
    rows.iter().filter_map(point).collect()
}

/// Means of groups of neighbours, so that at most `most` remain.
pub fn thinned(points: &[(f64, f64)], most: usize) -> Points {
    let group = points.len().div_ceil(most).max(1);
    let mean = |group: &[(f64, f64)]| {
        let count = group.len() as f64;
        (group.iter().map(|point| point.0).sum::<f64>() / count, group.iter().map(|point| point.1).sum::<f64>() / count)
    };
    points.chunks(group).map(mean).collect()
}

/// Means over neighbours on both sides, fewer at the start, so that the curve does not lag behind a falling one; at the end over
/// those before alone.
pub fn smoothed(points: &[(f64, f64)]) -> Points {
    let reach = ((SMOOTHING * points.len() as f64) as usize).max(1);
    let mean_around = |at: usize| {
        let before = at.min(reach);
        let after = before.min(points.len() - 1 - at);
        let window = &points[at - before..=at + after];
        (points[at].0, window.iter().map(|point| point.1).sum::<f64>() / window.len() as f64)
    };
    (0..points.len()).map(mean_around).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn averages_keep_a_constant_and_the_number_of_points_small() {
        let constant: Points = (0..10_001).map(|step| (f64::from(step), 3.0)).collect();
        let thin = thinned(&constant, 800);
        assert!(thin.len() <= 800 && thin.len() > 400);
        assert!(smoothed(&thin).iter().all(|point| (point.1 - 3.0).abs() < 1e-9));
        let spike = [(0.0, 1.0), (1.0, 9.0), (2.0, 1.0)];
        assert!(smoothed(&spike)[1].1 < 9.0);
        let falling: Points = (0..1000).map(|step| (f64::from(step), -f64::from(step))).collect();
        let kept = smoothed(&falling).into_iter().zip(&falling).take(900).all(|(a, b)| (a.1 - b.1).abs() < 1e-9);
        assert!(kept, "it does not lag");
        assert!(smoothed(&[]).is_empty());
    }
}
