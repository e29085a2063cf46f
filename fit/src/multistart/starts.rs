//! Where to start: grids and low-discrepancy points.

use crate::fit::Parameter;

/// All combinations of the given values, the last parameter fastest.
pub fn grid(values: &[Vec<f64>]) -> Vec<Vec<f64>> {
    values.iter().fold(vec![Vec::new()], |points, axis| {
        points
            .iter()
            .flat_map(|point| {
                axis.iter().map(move |v| {
                    let mut longer = point.clone();
                    longer.push(*v);
                    longer
                })
            })
            .collect()
    })
}

/// `count` points of Roberts' additive recurrence in the unit cube of `dimensions`: evenly spread for any
/// count, the same on every machine.
pub fn low_discrepancy(count: usize, dimensions: usize) -> Vec<Vec<f64>> {
    // The root of x^(d+1) = x + 1 generalises the golden ratio.
    let phi = (0..60).fold(2.0_f64, |x, _| (1.0 + x).powf(1.0 / (dimensions as f64 + 1.0)));
    (0..count)
        .map(|i| (0..dimensions).map(|k| (0.5 + (i as f64 + 1.0) * phi.powi(-(k as i32 + 1))).fract()).collect())
        .collect()
}

/// Points round the parameters' starts, the start itself first. A bounded parameter is spread over its
/// bounds; any other over `decades` powers of ten below and above its start (from −1 to 1 if that is 0).
pub fn around(parameters: &[Parameter], decades: f64, count: usize) -> Vec<Vec<f64>> {
    let free: Vec<usize> = (0..parameters.len()).filter(|&j| !parameters[j].fixed).collect();
    let start: Vec<f64> = parameters.iter().map(|p| p.start).collect();
    let mut points = vec![start.clone()];
    for unit in low_discrepancy(count.saturating_sub(1), free.len()) {
        let mut point = start.clone();
        for (&j, u) in free.iter().zip(&unit) {
            let p = &parameters[j];
            point[j] = if p.lower.is_finite() && p.upper.is_finite() {
                p.lower + (p.upper - p.lower) * (0.001 + 0.998 * u)
            } else if p.start == 0.0 {
                2.0 * u - 1.0
            } else {
                p.start * 10f64.powf(decades * (2.0 * u - 1.0))
            };
            point[j] = point[j].max(p.lower).min(p.upper);
        }
        points.push(point);
    }
    points
}
