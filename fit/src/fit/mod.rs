//! A fit as a scientist states it: named parameters, weights, a loss; and all that is known of its result.

mod parameter;
pub(crate) mod reduced;
mod report;

pub use parameter::{Parameter, Transform};
pub use report::FitResult;

use crate::FitError;
use crate::problem::Problem;
use crate::solver::{Bounds, Options, minimize_from};
use reduced::Reduced;

/// A problem with parameters, weights and settings, ready to be solved from any start.
pub struct Fit<'a, P: Problem + ?Sized> {
    pub(crate) problem: &'a P,
    pub(crate) parameters: Vec<Parameter>,
    pub(crate) free: Vec<usize>,
    pub(crate) roots: Vec<f64>,
    pub(crate) offsets: Vec<f64>,
    pub(crate) observations: Vec<f64>,
    /// Settings of the solver.
    pub options: Options,
}

impl<P: Problem + ?Sized> std::fmt::Debug for Fit<'_, P> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Fit").field("parameters", &self.parameters).finish_non_exhaustive()
    }
}

// Derived, it would ask that the problem be `Clone`, though only the reference is copied.
impl<P: Problem + ?Sized> Clone for Fit<'_, P> {
    fn clone(&self) -> Self {
        Self {
            problem: self.problem,
            parameters: self.parameters.clone(),
            free: self.free.clone(),
            roots: self.roots.clone(),
            offsets: self.offsets.clone(),
            observations: self.observations.clone(),
            options: self.options.clone(),
        }
    }
}

impl<'a, P: Problem + ?Sized> Fit<'a, P> {
    /// States a fit. Fails if starts, bounds or transforms do not fit together, or if there are fewer
    /// points than free parameters.
    pub fn new(problem: &'a P, parameters: Vec<Parameter>) -> Result<Self, FitError> {
        if parameters.len() != problem.parameter_count() {
            return Err(FitError::ParameterCount { expected: problem.parameter_count(), given: parameters.len() });
        }
        for p in &parameters {
            p.check()?;
        }
        let free: Vec<usize> = (0..parameters.len()).filter(|&j| !parameters[j].fixed).collect();
        let fit = Self {
            problem,
            parameters,
            free,
            roots: Vec::new(),
            offsets: Vec::new(),
            observations: Vec::new(),
            options: Options::default(),
        };
        fit.check_points()?;
        Ok(fit)
    }

    fn check_points(&self) -> Result<(), FitError> {
        let points = self.point_count();
        if points < self.free.len() {
            return Err(FitError::TooFewPoints { points, parameters: self.free.len() });
        }
        Ok(())
    }

    /// Points with a weight above zero.
    pub fn point_count(&self) -> usize {
        if self.roots.is_empty() {
            self.problem.residual_count()
        } else {
            self.roots.iter().filter(|w| **w > 0.0).count()
        }
    }

    /// Weighs each squared residual; a weight of 0 leaves the point out.
    pub fn weights(mut self, weights: &[f64]) -> Result<Self, FitError> {
        if let Some((point, &weight)) = weights.iter().enumerate().find(|(_, w)| !(w.is_finite() && **w >= 0.0)) {
            return Err(FitError::Weight { point, weight });
        }
        self.roots = weights.iter().map(|w| w.sqrt()).collect();
        self.check_points()?;
        Ok(self)
    }

    /// Replaces the settings.
    #[must_use]
    pub fn options(mut self, options: Options) -> Self {
        self.options = options;
        self
    }

    /// Tells the measured values, from which R² is computed.
    #[must_use]
    pub fn observations(mut self, observations: Vec<f64>) -> Self {
        self.observations = observations;
        self
    }

    pub(crate) fn reduced(&self) -> Reduced<'_, P> {
        Reduced {
            problem: self.problem,
            parameters: &self.parameters,
            free: &self.free,
            roots: &self.roots,
            offsets: &self.offsets,
        }
    }

    /// Coordinates of the free parameters for given values of all.
    pub(crate) fn coordinates(&self, values: &[f64]) -> Vec<f64> {
        self.free.iter().map(|&j| self.parameters[j].inward(values[j])).collect()
    }

    /// Solves from the parameters' starts.
    pub fn solve(&self) -> Result<FitResult, FitError> {
        let start: Vec<f64> = self.parameters.iter().map(|p| p.start).collect();
        self.solve_from(&start)
    }

    /// Solves from other values of all parameters (fixed ones keep theirs).
    pub fn solve_from(&self, start: &[f64]) -> Result<FitResult, FitError> {
        let solution = self.search_from(start)?;
        Ok(FitResult::new(self, solution))
    }

    /// Solves without computing what is known of the result.
    pub(crate) fn search_from(&self, start: &[f64]) -> Result<crate::Solution, FitError> {
        if start.len() != self.parameters.len() {
            return Err(FitError::ParameterCount { expected: self.parameters.len(), given: start.len() });
        }
        let (lower, upper): (Vec<f64>, Vec<f64>) =
            self.free.iter().map(|&j| self.parameters[j].coordinate_bounds()).unzip();
        let bounded = lower.iter().chain(&upper).any(|b| b.is_finite());
        let bounds = bounded.then_some(Bounds { lower: &lower, upper: &upper });
        minimize_from(&self.reduced(), &self.coordinates(start), bounds, &self.options)
    }
}
