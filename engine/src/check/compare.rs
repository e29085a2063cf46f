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
//!
//! A result stored as f16 may besides be one rounding unit of f16 off, since WGSL lets a conversion round up or down, and no
//! less than the distance of subnormal numbers; what is under the smallest normal number may be flushed to zero, and what is
//! beyond the largest may be infinite or the largest. Only where the case says that intermediates are rounded to f16 is there
//! more: so many units of f16 times the l2 magnitude, which for an output comes from the same probes.

/// Allowed multiples of ε √n S. Covers the roundings of a few elementary functions each good to some units in the last
/// place, as WGSL allows them (exp: 3 + 2|x|).
const C: f64 = 8.0;
/// Values below this share of the largest are compared on the scale of the largest.
const SMALL: f64 = 1e-3;
/// Below the smallest normal f32 results may be flushed to zero.
const DENORMAL: f64 = 1.2e-38;

/// The rounding unit of f16, 2^-10.
pub(super) const HALF_EPSILON: f64 = 1.0 / 1024.0;
/// The distance of subnormal f16 numbers, 2^-24.
const HALF_SPACING: f64 = 1.0 / 16_777_216.0;
/// The smallest normal f16, 2^-14.
const HALF_NORMAL: f64 = 1.0 / 16_384.0;
/// The largest f16.
const HALF_LARGEST: f64 = 65_504.0;

/// The rounding unit of the type computed in; with f16 tensors that is f32.
pub(crate) fn epsilon(dtype: crate::DType) -> f64 {
    match dtype {
        crate::DType::F64 => f64::EPSILON,
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

/// What the elements of one result may be off by.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Bounds<'a> {
    /// S of each element.
    pub magnitude: &'a [f64],
    /// n.
    pub terms: usize,
    /// The rounding unit of the type computed in.
    pub epsilon: f64,
    /// A factor on all this.
    pub slack: f64,
    /// Whether the result is stored as f16.
    pub half: bool,
    /// Where intermediates are rounded to f16: the factor, and the l2 magnitudes.
    pub half_rounding: Option<(f64, &'a [f64])>,
}

impl Bounds<'_> {
    /// The worst error of `got` against `exact`, measured in the bounds.
    pub(crate) fn measure(&self, got: &[f64], exact: &[f64]) -> Worst {
        let lengths = [exact.len(), self.magnitude.len(), self.half_rounding.map_or(got.len(), |(_, l2)| l2.len())];
        if lengths.iter().any(|&length| length != got.len()) {
            return Worst::BEYOND;
        }
        let largest = |magnitude: &[f64]| magnitude.iter().copied().fold(0.0, f64::max) * SMALL;
        let scale = largest(self.magnitude);
        let factor = self.slack * C * self.epsilon * (self.terms as f64).sqrt();
        let intermediates = self.half_rounding.map(|(units, l2)| (units * HALF_EPSILON, l2, largest(l2)));
        let mut worst = Worst::default();
        for (at, (&got, &exact)) in got.iter().zip(exact).enumerate() {
            let mut bound = factor * self.magnitude[at].max(scale) + DENORMAL;
            if let Some((factor, l2, scale)) = intermediates {
                bound += factor * l2[at].max(scale);
            }
            let allowed = self.half && excused(got, exact, bound);
            if self.half {
                bound += (HALF_EPSILON * exact.abs()).max(HALF_SPACING);
            }
            // Infinities that agree are no error.
            let error = if got == exact || allowed { 0.0 } else { (got - exact).abs() };
            let share = if error.is_nan() { f64::INFINITY } else { error / bound };
            worst = worst.max(Worst { share, error, bound, place: 0, at });
        }
        worst
    }
}

/// Whether an f16 result is what WGSL allows at the ends of the type's range: flushed to zero below the smallest normal
/// number, infinite or the largest number where the value, give or take `bound`, rounds to more than that.
fn excused(got: f64, exact: f64, bound: f64) -> bool {
    let flushed = got == 0.0 && exact.abs() < HALF_NORMAL;
    let overflowed = exact.abs() + bound > HALF_LARGEST && got.abs() >= HALF_LARGEST && got.signum() == exact.signum();
    flushed || overflowed
}

/// The worst error of `got` against `exact`, each element measured in c · ε · √terms · magnitude times `slack`.
pub fn measure(got: &[f64], exact: &[f64], magnitude: &[f64], terms: usize, epsilon: f64, slack: f64) -> Worst {
    Bounds { magnitude, terms, epsilon, slack, half: false, half_rounding: None }.measure(got, exact)
}

/// The share of [`measure`] alone.
pub fn worst(got: &[f64], exact: &[f64], magnitude: &[f64], terms: usize, epsilon: f64, slack: f64) -> f64 {
    measure(got, exact, magnitude, terms, epsilon, slack).share
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_result_in_f16_is_off_by_its_own_rounding_alone() {
        let magnitude = [1.0; 3];
        let bounds = |half_rounding| Bounds {
            magnitude: &magnitude,
            terms: 1,
            epsilon: epsilon(crate::DType::F16),
            slack: 1.0,
            half: true,
            half_rounding,
        };
        let share = |got: f64, exact: f64| bounds(None).measure(&[1.0, 1.0, got], &[1.0, 1.0, exact]).share;
        // 1 + 2^-11 lies between two numbers of the type: either is right, the next ones are not.
        assert!(share(1.0, 1.000_488_281_25) < 0.5 && share(1.000_976_562_5, 1.000_488_281_25) < 0.5);
        assert!(share(1.001_953_125, 1.000_488_281_25) > 1.0);
        // An intermediate that was rounded explains it.
        let l2 = [1.0; 3];
        let rounded = bounds(Some((4.0, l2.as_slice()))).measure(&[1.0, 1.0, 1.002], &[1.0; 3]);
        assert!(rounded.share < 0.5 && share(1.002, 1.0) > 1.0);
        // Below the smallest normal number: half a distance for rounding, or flushed to zero.
        let tiny = Bounds { magnitude: &[1e-6], ..bounds(None) };
        assert!(tiny.measure(&[1e-6 + 2.9e-8], &[1e-6]).share < 0.5 && tiny.measure(&[0.0], &[1e-6]).share == 0.0);
        assert!(tiny.measure(&[2e-6], &[1e-6]).share > 1.0);
        // Beyond the largest: infinite or the largest, with the right sign.
        let large = Bounds { magnitude: &[7e4], ..bounds(None) };
        let share = |got: f64, exact: f64| large.measure(&[got], &[exact]).share;
        assert!(share(f64::INFINITY, 7e4) == 0.0 && share(65_504.0, 7e4) == 0.0);
        assert!(share(f64::NEG_INFINITY, 7e4) > 1.0 && share(f64::INFINITY, 6e4) > 1.0 && share(6e4, 7e4) > 1.0);
    }

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
