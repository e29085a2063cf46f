//! Jacobians by finite differences, for residuals that are a black box.

use super::Problem;

/// The formula of the difference; its relative error with the best step is about ε^(p/(p+1)), p the
/// order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum DifferenceOrder {
    /// (f(x+h) − f(x))/h: one evaluation a parameter, error 1e-8.
    Forward,
    /// (f(x+h) − f(x−h))/2h: two, error 4e-11.
    #[default]
    Central,
    /// Five-point formula: four, error 1e-12.
    Fourth,
}

impl DifferenceOrder {
    fn order(self) -> f64 {
        match self {
            Self::Forward => 1.0,
            Self::Central => 2.0,
            Self::Fourth => 4.0,
        }
    }

    /// Nodes in units of the step, with their weights.
    fn stencil(self) -> &'static [(f64, f64)] {
        match self {
            Self::Forward => &[(1.0, 1.0), (0.0, -1.0)],
            Self::Central => &[(1.0, 0.5), (-1.0, -0.5)],
            Self::Fourth => &[(2.0, -1.0 / 12.0), (1.0, 8.0 / 12.0), (-1.0, -8.0 / 12.0), (-2.0, 1.0 / 12.0)],
        }
    }
}

/// A [`Problem`] from residuals alone.
#[derive(Debug, Clone, Copy)]
pub struct FiniteDifferences<R> {
    /// Number of parameters, n.
    pub parameters: usize,
    /// Number of residuals, m.
    pub points: usize,
    /// Writes the m residuals.
    pub residuals: R,
    /// The difference formula.
    pub order: DifferenceOrder,
}

impl<R: Fn(&[f64], &mut [f64]) + Sync> Problem for FiniteDifferences<R> {
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
        let m = self.points;
        let relative = f64::EPSILON.powf(1.0 / (1.0 + self.order.order()));
        let mut moved = parameters.to_vec();
        let mut residuals = vec![0.0; m];
        for (j, column) in jacobian.chunks_exact_mut(m).enumerate() {
            // A parameter at zero has no size of its own; the step is then that of a unit.
            let size = if parameters[j] == 0.0 { 1.0 } else { parameters[j].abs() };
            let wanted = parameters[j] + relative * size;
            let step = wanted - parameters[j];
            // At the edge of where the model is defined only one side has values.
            let forward = DifferenceOrder::Forward.stencil();
            for (stencil, step) in [(self.order.stencil(), step), (forward, step), (forward, -step)] {
                column.fill(0.0);
                for &(node, weight) in stencil {
                    moved[j] = parameters[j] + node * step;
                    (self.residuals)(&moved, &mut residuals);
                    for (slot, r) in column.iter_mut().zip(&residuals) {
                        *slot += weight * r / step;
                    }
                }
                if column.iter().all(|v| v.is_finite()) {
                    break;
                }
            }
            moved[j] = parameters[j];
        }
    }

    fn derivative_error(&self) -> f64 {
        f64::EPSILON.powf(self.order.order() / (1.0 + self.order.order()))
    }
}
