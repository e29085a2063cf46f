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

/// The worst error of `got` against `exact`, as a share of the bound; infinite if a value is not a number or the
/// lengths differ.
pub fn worst(got: &[f64], exact: &[f64], magnitude: &[f64], terms: usize, epsilon: f64, slack: f64) -> f64 {
    if got.len() != exact.len() || got.len() != magnitude.len() {
        return f64::INFINITY;
    }
    let scale = magnitude.iter().copied().fold(0.0, f64::max) * SMALL;
    let factor = slack * C * epsilon * (terms as f64).sqrt();
    got.iter().zip(exact).zip(magnitude).fold(0.0, |worst: f64, ((&got, &exact), &magnitude)| {
        let error = (got - exact).abs();
        let ratio = if error.is_nan() { f64::INFINITY } else { error / (factor * magnitude.max(scale) + DENORMAL) };
        worst.max(ratio)
    })
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
