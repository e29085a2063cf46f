//! How far a result is from the right one, measured in its bound.
//!
//! The bound of an element is c · ε · √n · S: S is the sum of the absolute values of the terms that make it up, n their
//! number, ε the type's rounding unit. For an output S comes from the definition. For a gradient it comes from probes of
//! the exact f64 backward, so that no operation needs an analysis of its own:
//! - the same gradient with the elements of the upstream gradient times normal numbers: the root mean square over probes is
//!   the l2 norm of the gradient's terms;
//! - with each input, and each output that the backward reads, moved by a relative 1e-6 at random: what rounding in the
//!   forward may do;
//! - half the gradient's own size, for sums whose terms have one sign.

/// Allowed multiples of ε √n S. Covers the roundings of a few elementary functions each good to some units in the last
/// place, as WGSL allows them (exp: 3 + 2|x|).
const C: f64 = 8.0;
/// Values below this share of the largest are compared on the scale of the largest.
const SMALL: f64 = 1e-3;
/// Below the smallest normal f32 results may be flushed to zero.
const DENORMAL: f64 = 1.2e-38;

/// The rounding unit of a float type.
pub(crate) fn epsilon(dtype: crate::DType) -> f64 {
    match dtype {
        crate::DType::F64 => f64::EPSILON,
        crate::DType::F16 => 9.77e-4,
        _ => f64::from(f32::EPSILON),
    }
}

/// The element of a result that is furthest off, measured in its bound.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Worst {
    /// Error over bound; over 1 is a failure, infinite if something is not a number or the lengths differ.
    pub share: f64,
    /// The error of that element.
    pub error: f64,
    /// Its bound.
    pub bound: f64,
    /// The output, or the input whose gradient it is.
    pub place: usize,
    /// Its place in there.
    pub at: usize,
}

impl Worst {
    /// Beyond any bound: a result that cannot be compared.
    pub const BEYOND: Self = Self { share: f64::INFINITY, error: f64::INFINITY, bound: 0.0, place: 0, at: 0 };

    /// The same of the output, or of the input's gradient, at `place`.
    pub fn of(self, place: usize) -> Self {
        Self { place, ..self }
    }

    /// The one of the larger share.
    pub fn max(self, other: Self) -> Self {
        if other.share > self.share { other } else { self }
    }
}

/// The worst error of `got` against `exact`, each element measured in c · ε · √terms · magnitude times `slack`.
pub fn measure(got: &[f64], exact: &[f64], magnitude: &[f64], terms: usize, epsilon: f64, slack: f64) -> Worst {
    if got.len() != exact.len() || got.len() != magnitude.len() {
        return Worst::BEYOND;
    }
    let scale = magnitude.iter().copied().fold(0.0, f64::max) * SMALL;
    let factor = slack * C * epsilon * (terms as f64).sqrt();
    let elements = got.iter().zip(exact).zip(magnitude).enumerate();
    elements.fold(Worst::default(), |worst, (at, ((&got, &exact), &magnitude))| {
        let bound = factor * magnitude.max(scale) + DENORMAL;
        // Infinities that agree are no error.
        let error = if got == exact { 0.0 } else { (got - exact).abs() };
        let share = if error.is_nan() { f64::INFINITY } else { error / bound };
        worst.max(Worst { share, error, bound, place: 0, at })
    })
}

/// The share of [`measure`] alone.
pub fn worst(got: &[f64], exact: &[f64], magnitude: &[f64], terms: usize, epsilon: f64, slack: f64) -> f64 {
    measure(got, exact, magnitude, terms, epsilon, slack).share
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rounding_passes_and_mistakes_do_not() {
        let exact = [1.0, -2.0, 3e-9];
        let magnitude = exact.map(f64::abs);
        let check = |got: [f64; 3]| worst(&got, &exact, &magnitude, 4, epsilon(crate::DType::F32), 1.0);
        assert!(check(exact) == 0.0);
        assert!(check([1.0 + 1e-7, -2.0, 3e-9]) < 0.5);
        assert!(check([1.01, -2.0, 3e-9]) > 1.0);
        assert!(check([1.0, f64::NAN, 3e-9]).is_infinite());
        assert!(worst(&[1.0], &exact, &magnitude, 4, 1e-7, 1.0).is_infinite());
    }
}
