//! Parameters as a person sees them, and the coordinates the solver moves in.

use crate::FitError;

/// The coordinate in which a parameter is searched. Intervals and errors are always reported for the
/// parameter itself.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub enum Transform {
    /// The parameter itself.
    #[default]
    Identity,
    /// Its logarithm: the parameter stays positive.
    Log,
    /// ln((p − low)/(high − p)) over its bounds, which must both be finite: it stays inside.
    Logit,
}

/// One parameter: name, start, bounds, and whether it moves.
#[derive(Debug, Clone, PartialEq)]
pub struct Parameter {
    /// Name in reports.
    pub name: String,
    /// Where the search starts.
    pub start: f64,
    /// Lower bound, or −∞.
    pub lower: f64,
    /// Upper bound, or ∞.
    pub upper: f64,
    /// Held at its start.
    pub fixed: bool,
    /// Coordinate of the search.
    pub transform: Transform,
}

impl Parameter {
    /// A free parameter without bounds.
    pub fn new(name: impl Into<String>, start: f64) -> Self {
        Self {
            name: name.into(),
            start,
            lower: f64::NEG_INFINITY,
            upper: f64::INFINITY,
            fixed: false,
            transform: Transform::Identity,
        }
    }

    /// Keeps it within `lower ..= upper`.
    #[must_use]
    pub fn bounds(mut self, lower: f64, upper: f64) -> Self {
        (self.lower, self.upper) = (lower, upper);
        self
    }

    /// Holds it at its start.
    #[must_use]
    pub fn fixed(mut self) -> Self {
        self.fixed = true;
        self
    }

    /// Searches in another coordinate.
    #[must_use]
    pub fn transform(mut self, transform: Transform) -> Self {
        self.transform = transform;
        self
    }

    /// Checks that start, bounds and transform fit together.
    pub fn check(&self) -> Result<(), FitError> {
        let problem = if !self.start.is_finite() {
            "its start is not finite"
        } else if self.lower.is_nan() || self.upper.is_nan() || self.lower >= self.upper {
            "its lower bound is not below its upper bound"
        } else if self.start < self.lower || self.start > self.upper {
            "its start lies outside its bounds"
        } else {
            match self.transform {
                Transform::Log if self.start <= 0.0 => "its logarithm needs a start above zero",
                Transform::Logit if !(self.lower.is_finite() && self.upper.is_finite()) => {
                    "the logit needs two finite bounds"
                }
                Transform::Logit if self.start <= self.lower || self.start >= self.upper => {
                    "the logit needs a start strictly between the bounds"
                }
                _ => return Ok(()),
            }
        };
        Err(FitError::Parameter { name: self.name.clone(), problem: problem.into() })
    }

    /// Parameter to coordinate.
    pub fn inward(&self, value: f64) -> f64 {
        match self.transform {
            Transform::Identity => value,
            Transform::Log => value.ln(),
            Transform::Logit => ((value - self.lower) / (self.upper - value)).ln(),
        }
    }

    /// Coordinate to parameter.
    pub fn outward(&self, coordinate: f64) -> f64 {
        match self.transform {
            Transform::Identity => coordinate,
            Transform::Log => coordinate.exp(),
            Transform::Logit => self.lower + (self.upper - self.lower) / (1.0 + (-coordinate).exp()),
        }
    }

    /// Derivative of the parameter by its coordinate, at a value of the parameter.
    pub fn slope(&self, value: f64) -> f64 {
        match self.transform {
            Transform::Identity => 1.0,
            Transform::Log => value,
            Transform::Logit => (value - self.lower) * (self.upper - value) / (self.upper - self.lower),
        }
    }

    /// Second derivative of the parameter by its coordinate.
    pub fn bend(&self, value: f64) -> f64 {
        match self.transform {
            Transform::Identity => 0.0,
            Transform::Log => value,
            Transform::Logit => self.slope(value) * (self.upper + self.lower - 2.0 * value) / (self.upper - self.lower),
        }
    }

    /// Bounds in the coordinate; a transform keeps its own.
    pub fn coordinate_bounds(&self) -> (f64, f64) {
        match self.transform {
            Transform::Identity => (self.lower, self.upper),
            Transform::Log => (if self.lower > 0.0 { self.lower.ln() } else { f64::NEG_INFINITY }, self.upper.ln()),
            Transform::Logit => (f64::NEG_INFINITY, f64::INFINITY),
        }
    }
}
