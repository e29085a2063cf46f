//! Problems whose Jacobian the caller wrote.

use super::Problem;

/// A [`Problem`] from two functions: residuals, and the Jacobian by columns.
#[derive(Debug, Clone, Copy)]
pub struct WithJacobian<R, J> {
    /// Number of parameters, n.
    pub parameters: usize,
    /// Number of residuals, m.
    pub points: usize,
    /// Writes the m residuals.
    pub residuals: R,
    /// Writes the m × n Jacobian, element (i, j) at `j·m + i`.
    pub jacobian: J,
}

impl<R, J> Problem for WithJacobian<R, J>
where
    R: Fn(&[f64], &mut [f64]) + Sync,
    J: Fn(&[f64], &mut [f64]) + Sync,
{
    fn parameter_count(&self) -> usize {
        self.parameters
    }
    fn residual_count(&self) -> usize {
        self.points
    }
    fn residuals(&self, parameters: &[f64], residuals: &mut [f64]) {
        (self.residuals)(parameters, residuals);
    }
    fn jacobian(&self, parameters: &[f64], jacobian: &mut [f64]) {
        (self.jacobian)(parameters, jacobian);
    }
}
