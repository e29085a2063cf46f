//! The problem the solver sees: free parameters only, in their coordinates, residuals weighted.

use super::Parameter;
use crate::problem::Problem;

/// A problem seen through its parameters, weights and shifted data.
pub(crate) struct Reduced<'a, P: Problem + ?Sized> {
    pub problem: &'a P,
    pub parameters: &'a [Parameter],
    /// Indices of the free parameters.
    pub free: &'a [usize],
    /// Square roots of the weights; empty for ones.
    pub roots: &'a [f64],
    /// Added to the residuals before weighting; empty for zeros.
    pub offsets: &'a [f64],
}

impl<P: Problem + ?Sized> Reduced<'_, P> {
    pub fn outward(&self, coordinates: &[f64]) -> Vec<f64> {
        let mut values: Vec<f64> = self.parameters.iter().map(|p| p.start).collect();
        for (&j, &c) in self.free.iter().zip(coordinates) {
            values[j] = self.parameters[j].outward(c);
        }
        values
    }

    fn weigh(&self, column: &mut [f64]) {
        for (value, root) in column.iter_mut().zip(self.roots) {
            // A weight of zero takes the point out, even where the model is not finite.
            *value = if *root == 0.0 { 0.0 } else { *value * root };
        }
    }

    /// The data's offsets, then the weights.
    fn shift(&self, residuals: &mut [f64]) {
        for (r, o) in residuals.iter_mut().zip(self.offsets) {
            *r += o;
        }
        self.weigh(residuals);
    }

    /// The columns of the free parameters, by their coordinates and weighted, from what `fill` writes for all
    /// parameters; false if it wrote nothing.
    fn columns(&self, values: &[f64], jacobian: &mut [f64], fill: impl FnOnce(&mut [f64]) -> bool) -> bool {
        let m = self.residual_count();
        if self.all_free() {
            if !fill(jacobian) {
                return false;
            }
        } else {
            let mut full = vec![0.0; m * values.len()];
            if !fill(&mut full) {
                return false;
            }
            for (column, &j) in jacobian.chunks_exact_mut(m).zip(self.free) {
                column.copy_from_slice(&full[j * m..(j + 1) * m]);
            }
        }
        for (column, &j) in jacobian.chunks_exact_mut(m).zip(self.free) {
            let slope = self.parameters[j].slope(values[j]);
            if slope != 1.0 {
                column.iter_mut().for_each(|v| *v *= slope);
            }
            self.weigh(column);
        }
        true
    }

    fn all_free(&self) -> bool {
        self.free.len() == self.parameters.len()
    }
}

impl<P: Problem + ?Sized> Problem for Reduced<'_, P> {
    fn parameter_count(&self) -> usize {
        self.free.len()
    }

    fn residual_count(&self) -> usize {
        self.problem.residual_count()
    }

    fn residuals(&self, coordinates: &[f64], residuals: &mut [f64]) {
        self.problem.residuals(&self.outward(coordinates), residuals);
        self.shift(residuals);
    }

    fn jacobian(&self, coordinates: &[f64], jacobian: &mut [f64]) {
        let values = self.outward(coordinates);
        self.columns(&values, jacobian, |full| {
            self.problem.jacobian(&values, full);
            true
        });
    }

    fn residuals_and_jacobian(&self, coordinates: &[f64], residuals: &mut [f64], jacobian: &mut [f64]) -> bool {
        let values = self.outward(coordinates);
        let done =
            self.columns(&values, jacobian, |full| self.problem.residuals_and_jacobian(&values, residuals, full));
        if done {
            self.shift(residuals);
        }
        done
    }

    fn derivative_error(&self) -> f64 {
        self.problem.derivative_error()
    }

    fn second_directional(&self, coordinates: &[f64], direction: &[f64], second: &mut [f64]) {
        let (m, values) = (self.residual_count(), self.outward(coordinates));
        let mut outward = vec![0.0; values.len()];
        let mut bend = vec![0.0; values.len()];
        for (&j, d) in self.free.iter().zip(direction) {
            outward[j] = d * self.parameters[j].slope(values[j]);
            bend[j] = d * d * self.parameters[j].bend(values[j]);
        }
        self.problem.second_directional(&values, &outward, second);
        if bend.iter().any(|b| *b != 0.0) {
            let mut full = vec![0.0; m * values.len()];
            self.problem.jacobian(&values, &mut full);
            for (column, b) in full.chunks_exact(m).zip(&bend) {
                for (s, v) in second.iter_mut().zip(column) {
                    *s += b * v;
                }
            }
        }
        self.weigh(second);
    }

    fn curvature(&self, coordinates: &[f64], multipliers: &[f64], hessian: &mut [f64]) {
        let (m, values) = (self.residual_count(), self.outward(coordinates));
        let (n, k) = (values.len(), self.free.len());
        let mut weighted = multipliers.to_vec();
        self.weigh(&mut weighted);
        let mut full = vec![0.0; n * n];
        self.problem.curvature(&values, &weighted, &mut full);
        let slopes: Vec<f64> = self.free.iter().map(|&j| self.parameters[j].slope(values[j])).collect();
        for (b, &j) in self.free.iter().enumerate() {
            for (a, &i) in self.free.iter().enumerate() {
                hessian[b * k + a] = full[j * n + i] * slopes[a] * slopes[b];
            }
        }
        if self.free.iter().all(|&j| self.parameters[j].bend(values[j]) == 0.0) {
            return;
        }
        let mut jacobian = vec![0.0; m * n];
        self.problem.jacobian(&values, &mut jacobian);
        for (b, &j) in self.free.iter().enumerate() {
            let gradient: f64 = jacobian[j * m..(j + 1) * m].iter().zip(&weighted).map(|(x, w)| x * w).sum();
            hessian[b * k + b] += gradient * self.parameters[j].bend(values[j]);
        }
    }
}
