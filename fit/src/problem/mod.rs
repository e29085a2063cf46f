//! What is minimised: residuals with their derivatives, from a model written once over [`Real`], from
//! a given Jacobian, or from finite differences.

mod automatic;
mod differences;
mod given;

pub use automatic::{Automatic, Model};
pub use differences::{DifferenceOrder, FiniteDifferences};
pub use given::WithJacobian;

/// A least-squares problem: `m` residuals of `n` parameters. Matrices are stored by columns: the
/// derivative of residual `i` by parameter `j` is at `j·m + i`.
pub trait Problem: Sync {
    /// Number of parameters, n.
    fn parameter_count(&self) -> usize;
    /// Number of residuals, m.
    fn residual_count(&self) -> usize;
    /// Writes the m residuals at `parameters`. A value that is not finite marks a point where the
    /// model is not defined; the solver steps back from it.
    fn residuals(&self, parameters: &[f64], residuals: &mut [f64]);
    /// Writes the m × n Jacobian at `parameters`.
    fn jacobian(&self, parameters: &[f64], jacobian: &mut [f64]);

    /// Writes residuals and Jacobian together where that costs less than the two apart, and says whether it
    /// did; the solver then asks for both at a point that it expects to accept.
    fn residuals_and_jacobian(&self, _parameters: &[f64], _residuals: &mut [f64], _jacobian: &mut [f64]) -> bool {
        false
    }

    /// Relative error to expect of the Jacobian; below it, dependence between columns cannot be seen.
    fn derivative_error(&self) -> f64 {
        f64::EPSILON
    }

    /// Writes the second derivative of each residual along `direction`, by default from two further
    /// Jacobians.
    fn second_directional(&self, parameters: &[f64], direction: &[f64], second: &mut [f64]) {
        let (m, n) = (self.residual_count(), self.parameter_count());
        let scale = direction.iter().zip(parameters).fold(0.0_f64, |s, (d, p)| s.max(d.abs() / (p.abs() + 1e-8)));
        let step = f64::EPSILON.cbrt() / scale.max(f64::MIN_POSITIVE);
        let mut moved = vec![0.0; n];
        let mut jacobian = vec![0.0; m * n];
        second.fill(0.0);
        for sign in [1.0, -1.0] {
            for ((x, p), d) in moved.iter_mut().zip(parameters).zip(direction) {
                *x = p + sign * step * d;
            }
            self.jacobian(&moved, &mut jacobian);
            for (column, d) in jacobian.chunks_exact(m).zip(direction) {
                for (s, j) in second.iter_mut().zip(column) {
                    *s += sign * j * d / (2.0 * step);
                }
            }
        }
    }

    /// Writes the n × n matrix Σᵢ multiplierᵢ·∇²residualᵢ, by default from central differences of the
    /// Jacobian.
    fn curvature(&self, parameters: &[f64], multipliers: &[f64], hessian: &mut [f64]) {
        let (m, n) = (self.residual_count(), self.parameter_count());
        let mut moved = parameters.to_vec();
        let mut jacobian = vec![0.0; m * n];
        hessian.fill(0.0);
        for k in 0..n {
            let size = if parameters[k] == 0.0 { 1.0 } else { parameters[k].abs() };
            let step = f64::EPSILON.cbrt() * size;
            for sign in [1.0, -1.0] {
                moved[k] = parameters[k] + sign * step;
                self.jacobian(&moved, &mut jacobian);
                for (j, column) in jacobian.chunks_exact(m).enumerate() {
                    let product: f64 = column.iter().zip(multipliers).map(|(a, b)| a * b).sum();
                    hessian[k * n + j] += sign * product / (2.0 * step);
                }
            }
            moved[k] = parameters[k];
        }
        for j in 0..n {
            for i in 0..j {
                let mean = 0.5 * (hessian[j * n + i] + hessian[i * n + j]);
                hessian[j * n + i] = mean;
                hessian[i * n + j] = mean;
            }
        }
    }
}
