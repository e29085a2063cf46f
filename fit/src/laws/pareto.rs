//! The frontier of loss over compute: lower-left convex hull in log-log, lower envelope in bins, and the
//! compute that two architectures need for equal loss.

use super::power_law::positive;
use crate::FitError;
use crate::statistics::{Interval, distribution::sample_quantile, generator};
use rand::Rng;
use rayon::prelude::*;

/// Pairs of FLOPs and loss.
pub type Points = Vec<(f64, f64)>;

/// The coordinates in which a hull is convex.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Space {
    /// FLOPs and loss themselves, as the published hull.
    #[default]
    Linear,
    /// Their logarithms, in which laws are straight: fewer points.
    Logarithmic,
}

/// Lower-left convex hull of (FLOPs, loss), in rising FLOPs and falling loss.
pub fn hull(points: &[(f64, f64)], space: Space) -> Result<Vec<(f64, f64)>, FitError> {
    positive("FLOPs", &points.iter().map(|p| p.0).collect::<Vec<_>>())?;
    positive("loss", &points.iter().map(|p| p.1).collect::<Vec<_>>())?;
    let mut sorted = points.to_vec();
    sorted.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.total_cmp(&b.1)));
    let place = |p: &(f64, f64)| match space {
        Space::Linear => *p,
        Space::Logarithmic => (p.0.ln(), p.1.ln()),
    };
    let turn = |a: &(f64, f64), b: &(f64, f64), c: &(f64, f64)| {
        let [(ax, ay), (bx, by), (cx, cy)] = [a, b, c].map(place);
        (bx - ax) * (cy - ay) - (by - ay) * (cx - ax)
    };
    let mut hull: Vec<(f64, f64)> = Vec::new();
    for p in sorted {
        // Only points that lower the loss belong to the left side.
        if hull.last().is_some_and(|last| p.1 >= last.1) {
            continue;
        }
        while hull.len() >= 2 && turn(&hull[hull.len() - 2], &hull[hull.len() - 1], &p) <= 0.0 {
            hull.pop();
        }
        hull.push(p);
    }
    Ok(hull)
}

/// Lowest loss in each of `per_decade` bins a decade of FLOPs between `low` and `high`.
pub fn envelope(points: &[(f64, f64)], low: f64, high: f64, per_decade: usize) -> Vec<(f64, f64)> {
    let mut best: std::collections::BTreeMap<i64, (f64, f64)> = std::collections::BTreeMap::new();
    for &(flops, loss) in points.iter().filter(|p| p.0 >= low && p.0 <= high) {
        let bin = ((flops / low).log10() * per_decade as f64).floor() as i64;
        let slot = best.entry(bin).or_insert((flops, loss));
        if loss < slot.1 {
            *slot = (flops, loss);
        }
    }
    best.into_values().collect()
}

/// FLOPs at which a frontier reaches `loss`, linear in logarithms; None outside of it.
pub fn flops_at(frontier: &[(f64, f64)], loss: f64) -> Option<f64> {
    frontier.windows(2).find_map(|w| {
        let ((c0, l0), (c1, l1)) = (w[0], w[1]);
        if !(l1 <= loss && loss <= l0) {
            return None;
        }
        if l0 == l1 {
            return Some(c0);
        }
        let part = (l0.ln() - loss.ln()) / (l0.ln() - l1.ln());
        Some((c0.ln() + part * (c1.ln() - c0.ln())).exp())
    })
}

/// How many times the compute of `reference` the `other` frontier needs for the same loss.
pub fn compute_ratio(other: &[(f64, f64)], reference: &[(f64, f64)], loss: f64) -> Option<f64> {
    Some(flops_at(other, loss)? / flops_at(reference, loss)?)
}

/// The hulls of two groups of runs, each drawn again with replacement `count` times. A hull of fewer runs
/// lies on or above that of all, in both groups alike.
pub fn resampled_hulls(groups: [&[(f64, f64)]; 2], count: usize, seed: u64) -> Result<Vec<[Points; 2]>, FitError> {
    (0..count)
        .into_par_iter()
        .map(|index| {
            let mut random = generator(seed, index);
            let mut draw = |runs: &[(f64, f64)]| {
                let drawn: Vec<_> = (0..runs.len()).map(|_| runs[random.random_range(0..runs.len())]).collect();
                hull(&drawn, Space::Linear)
            };
            Ok([draw(groups[0])?, draw(groups[1])?])
        })
        .collect()
}

/// Interval of the ratio of compute at `loss` over resampled hulls; None where fewer than half reach it.
pub fn ratio_interval(hulls: &[[Points; 2]], loss: f64, level: f64) -> Option<Interval> {
    let mut ratios: Vec<f64> = hulls.iter().filter_map(|[of, over]| compute_ratio(of, over, loss)).collect();
    if ratios.is_empty() || 2 * ratios.len() < hulls.len() {
        return None;
    }
    let tail = 0.5 - 0.5 * level;
    Some(Interval { low: sample_quantile(&mut ratios, tail), high: sample_quantile(&mut ratios, 1.0 - tail) })
}
