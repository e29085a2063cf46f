//! Where two measured curves cross, such as the times of two architectures over the length of the prompt.

/// Measured points as a curve: rising x, and at each x the median of its values.
pub fn curve(points: &[(f64, f64)]) -> Vec<(f64, f64)> {
    let mut sorted = points.to_vec();
    sorted.sort_by(|left, right| left.0.total_cmp(&right.0).then(left.1.total_cmp(&right.1)));
    let same = sorted.chunk_by(|left, right| left.0 == right.0);
    same.map(|at| (at[0].0, 0.5 * (at[(at.len() - 1) / 2].1 + at[at.len() / 2].1))).collect()
}

/// ln(y of one / y of the other) at every x of either that lies on both: between points a curve is straight in logarithms.
pub fn log_ratios(one: &[(f64, f64)], other: &[(f64, f64)]) -> Vec<(f64, f64)> {
    let mut places: Vec<f64> = one.iter().chain(other).map(|point| point.0).collect();
    places.sort_by(f64::total_cmp);
    places.dedup();
    let ratio = |x: f64| Some((x, log_at(one, x)? - log_at(other, x)?));
    places.into_iter().filter_map(ratio).collect()
}

/// ln y at x; None outside of the curve.
fn log_at(curve: &[(f64, f64)], x: f64) -> Option<f64> {
    if let Some(point) = curve.iter().find(|point| point.0 == x) {
        return Some(point.1.ln());
    }
    curve.windows(2).find(|pair| pair[0].0 < x && x < pair[1].0).map(|pair| {
        let ((x0, y0), (x1, y1)) = (pair[0], pair[1]);
        let part = (x / x0).ln() / (x1 / x0).ln();
        y0.ln() + part * (y1 / y0).ln()
    })
}

/// Where the ratio of two curves passes 1. One that touches it and goes back is no crossing.
pub fn crossings(log_ratios: &[(f64, f64)]) -> Vec<f64> {
    // Where they are equal neither is ahead: the sign before and after decides.
    let ahead: Vec<&(f64, f64)> = log_ratios.iter().filter(|point| point.1 != 0.0).collect();
    let mut found = Vec::new();
    for pair in ahead.windows(2) {
        let ((x0, r0), (x1, r1)) = (*pair[0], *pair[1]);
        if (r0 < 0.0) == (r1 < 0.0) {
            continue;
        }
        let equal: Vec<f64> = log_ratios.iter().filter(|p| p.1 == 0.0 && x0 < p.0 && p.0 < x1).map(|p| p.0).collect();
        found.push(match equal[..] {
            [] => (x0.ln() + r0 / (r0 - r1) * (x1 / x0).ln()).exp(),
            // Equal over a stretch: its middle in logarithms.
            [first, ..] => (first * equal[equal.len() - 1]).sqrt(),
        });
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn power_laws_cross_where_they_are_equal() {
        // 3·x^0.5 and 0.03·x: equal at x = 10⁴. Their points lie at different places.
        let one: Vec<(f64, f64)> = [10.0, 1e3, 1e5].iter().map(|x: &f64| (*x, 3.0 * x.sqrt())).collect();
        let other: Vec<(f64, f64)> = [50.0, 2e3, 4e5].iter().map(|x| (*x, 0.03 * x)).collect();
        let ratios = log_ratios(&one, &other);
        assert_eq!(ratios.iter().map(|point| point.0).collect::<Vec<_>>(), [50.0, 1e3, 2e3, 1e5]);
        let found = crossings(&ratios);
        assert!(found.len() == 1 && (found[0] / 1e4 - 1.0).abs() < 1e-12, "{found:?}");
    }

    #[test]
    fn curves_that_touch_do_not_cross_and_repeats_have_their_median() {
        assert_eq!(crossings(&[(1.0, -1.0), (2.0, 0.0), (4.0, -1.0)]), [0.0; 0]);
        assert_eq!(crossings(&[(1.0, -1.0), (2.0, 0.0), (8.0, 0.0), (16.0, 1.0)]), [4.0]);
        let twice = crossings(&[(1.0, -1.0), (4.0, 1.0), (16.0, -1.0)]);
        assert!(twice.len() == 2 && (twice[0] - 2.0).abs() < 1e-12 && (twice[1] - 8.0).abs() < 1e-12, "{twice:?}");
        assert_eq!(crossings(&[]), [0.0; 0]);
        let repeats = [(2.0, 5.0), (1.0, 1.0), (2.0, 3.0), (2.0, 4.0), (1.0, 2.0)];
        assert_eq!(curve(&repeats), [(1.0, 1.5), (2.0, 4.0)]);
    }
}
