//! The lowest point of a measured curve, such as of loss over learning rate.

/// Where a curve is lowest.
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize)]
pub struct Minimum {
    /// Its place.
    pub x: f64,
    /// Its height.
    pub y: f64,
    /// Whether there are higher points on either side. Else it is the lowest point measured, at an end of the curve.
    pub inside: bool,
}

/// The vertex of the parabola over ln x through the lowest point and its two neighbours; None of no points. The curve is in
/// rising x, as [`super::crossing::curve`] makes it.
pub fn minimum(curve: &[(f64, f64)]) -> Option<Minimum> {
    let (place, lowest) = curve.iter().enumerate().min_by(|left, right| left.1.1.total_cmp(&right.1.1))?;
    if place == 0 || place + 1 == curve.len() {
        return Some(Minimum { x: lowest.0, y: lowest.1, inside: false });
    }
    // About the lowest point: y = y₀ + b·t + a·t², t = ln(x/x₀).
    let at = |point: (f64, f64)| ((point.0 / lowest.0).ln(), point.1 - lowest.1);
    let ((t0, d0), (t1, d1)) = (at(curve[place - 1]), at(curve[place + 1]));
    let a = (d1 / t1 - d0 / t0) / (t1 - t0);
    let b = d1 / t1 - a * t1;
    // Neighbours of the same height leave no bend to find a vertex by.
    let vertex = if a > 0.0 { -0.5 * b / a } else { 0.0 };
    Some(Minimum { x: lowest.0 * vertex.exp(), y: lowest.1 + vertex * (b + a * vertex), inside: true })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_parabola_has_its_vertex() {
        let curve: Vec<(f64, f64)> =
            [1.0, 3.0, 4.0, 30.0].iter().map(|x: &f64| (*x, 2.0 + 0.3 * (x / 5.0).ln().powi(2))).collect();
        let found = minimum(&curve).unwrap();
        assert!((found.x - 5.0).abs() < 1e-12 && (found.y - 2.0).abs() < 1e-12 && found.inside, "{found:?}");
    }

    #[test]
    fn ends_and_flat_curves_are_what_was_measured() {
        assert_eq!(minimum(&[(1.0, 3.0), (2.0, 2.0)]), Some(Minimum { x: 2.0, y: 2.0, inside: false }));
        assert_eq!(minimum(&[(1.0, 3.0)]), Some(Minimum { x: 1.0, y: 3.0, inside: false }));
        assert_eq!(minimum(&[(1.0, 3.0), (2.0, 3.0), (4.0, 3.0)]).unwrap().x, 1.0);
        assert_eq!(minimum(&[(1.0, 3.0), (2.0, 2.0), (4.0, 3.0)]).unwrap().x, 2.0);
        assert_eq!(minimum(&[]), None);
    }
}
