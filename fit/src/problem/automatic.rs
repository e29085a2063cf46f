//! Models written once over [`Real`], differentiated exactly.

use super::Problem;
use crate::number::{Dual, Real};

/// A model and its data: one residual a point.
pub trait Model: Sync {
    /// Number of parameters.
    fn parameter_count(&self) -> usize;
    /// Number of points.
    fn point_count(&self) -> usize;
    /// The residual of one point: usually prediction minus measurement.
    fn residual<T: Real>(&self, point: usize, parameters: &[T]) -> T;
}

/// A [`Problem`] whose derivatives come from dual numbers.
#[derive(Debug, Clone, Copy)]
pub struct Automatic<M>(pub M);

/// One pass: derivatives along parameters `first .. first + N`, and the residuals unless their slice is empty.
fn columns<M: Model, const N: usize>(
    model: &M,
    parameters: &[f64],
    first: usize,
    residuals: &mut [f64],
    jacobian: &mut [f64],
) {
    let (n, m) = (parameters.len(), model.point_count());
    let mut short = [Dual::<f64, N>::lift(0.0); N];
    let mut long = Vec::new();
    let seeded: &mut [Dual<f64, N>] = if n <= N {
        &mut short[..n]
    } else {
        long.resize(n, Dual::lift(0.0));
        &mut long
    };
    for (j, (slot, &value)) in seeded.iter_mut().zip(parameters).enumerate() {
        *slot = if j < first { Dual::lift(value) } else { Dual::variable(value, j - first) };
    }
    let width = N.min(n - first);
    for point in 0..m {
        let residual = model.residual(point, seeded);
        if let Some(slot) = residuals.get_mut(point) {
            *slot = residual.value;
        }
        for (k, d) in residual.derivative[..width].iter().enumerate() {
            jacobian[(first + k) * m + point] = *d;
        }
    }
}

/// All columns: in one pass for up to nine parameters, else in blocks of eight.
fn derivatives<M: Model>(model: &M, parameters: &[f64], residuals: &mut [f64], jacobian: &mut [f64]) {
    match parameters.len() {
        0 => {}
        1 => columns::<M, 1>(model, parameters, 0, residuals, jacobian),
        2 => columns::<M, 2>(model, parameters, 0, residuals, jacobian),
        3 => columns::<M, 3>(model, parameters, 0, residuals, jacobian),
        4 => columns::<M, 4>(model, parameters, 0, residuals, jacobian),
        5 => columns::<M, 5>(model, parameters, 0, residuals, jacobian),
        6 => columns::<M, 6>(model, parameters, 0, residuals, jacobian),
        7 => columns::<M, 7>(model, parameters, 0, residuals, jacobian),
        9 => columns::<M, 9>(model, parameters, 0, residuals, jacobian),
        n => {
            for first in (0..n).step_by(8) {
                columns::<M, 8>(model, parameters, first, residuals, jacobian);
            }
        }
    }
}

impl<M: Model> Problem for Automatic<M> {
    fn parameter_count(&self) -> usize {
        self.0.parameter_count()
    }

    fn residual_count(&self) -> usize {
        self.0.point_count()
    }

    fn residuals(&self, parameters: &[f64], residuals: &mut [f64]) {
        for (point, slot) in residuals.iter_mut().enumerate() {
            *slot = self.0.residual(point, parameters);
        }
    }

    fn jacobian(&self, parameters: &[f64], jacobian: &mut [f64]) {
        derivatives(&self.0, parameters, &mut [], jacobian);
    }

    fn residuals_and_jacobian(&self, parameters: &[f64], residuals: &mut [f64], jacobian: &mut [f64]) -> bool {
        derivatives(&self.0, parameters, residuals, jacobian);
        !parameters.is_empty()
    }

    fn second_directional(&self, parameters: &[f64], direction: &[f64], second: &mut [f64]) {
        let moved: Vec<Dual<Dual<f64, 1>, 1>> = parameters
            .iter()
            .zip(direction)
            .map(|(&p, &d)| Dual { value: Dual { value: p, derivative: [d] }, derivative: [Dual::lift(d)] })
            .collect();
        for (point, slot) in second.iter_mut().enumerate() {
            *slot = self.0.residual(point, &moved).derivative[0].derivative[0];
        }
    }

    fn curvature(&self, parameters: &[f64], multipliers: &[f64], hessian: &mut [f64]) {
        // Blocks as wide as the problem where it is small: unused directions cost as much as used ones.
        match parameters.len() {
            0..=2 => second_derivatives::<M, 2>(&self.0, parameters, multipliers, hessian),
            3 => second_derivatives::<M, 3>(&self.0, parameters, multipliers, hessian),
            _ => second_derivatives::<M, 4>(&self.0, parameters, multipliers, hessian),
        }
    }
}

/// Σ multiplierᵢ·∇²residualᵢ, in blocks of B directions by B.
fn second_derivatives<M: Model, const B: usize>(
    model: &M,
    parameters: &[f64],
    multipliers: &[f64],
    hessian: &mut [f64],
) {
    let n = parameters.len();
    hessian.fill(0.0);
    let mut seeded: Vec<Dual<Dual<f64, B>, B>> = Vec::with_capacity(n);
    for rows in (0..n).step_by(B) {
        for across in (rows..n).step_by(B) {
            seeded.clear();
            seeded.extend(parameters.iter().enumerate().map(|(j, &p)| {
                let inner = if j < rows { Dual::lift(p) } else { Dual::variable(p, j - rows) };
                if j < across { Dual::lift(inner) } else { Dual::variable(inner, j - across) }
            }));
            for (point, &multiplier) in multipliers.iter().enumerate() {
                if multiplier == 0.0 {
                    continue;
                }
                let residual = model.residual(point, &seeded);
                for (c, outer) in residual.derivative.iter().enumerate().take(n - across) {
                    for (r, d) in outer.derivative.iter().enumerate().take(n - rows) {
                        hessian[(across + c) * n + rows + r] += multiplier * d;
                    }
                }
            }
        }
    }
    for j in 0..n {
        for i in 0..j {
            hessian[i * n + j] = hessian[j * n + i];
        }
    }
}

impl<M: Model> Model for &M {
    fn parameter_count(&self) -> usize {
        (**self).parameter_count()
    }
    fn point_count(&self) -> usize {
        (**self).point_count()
    }
    fn residual<T: Real>(&self, point: usize, parameters: &[T]) -> T {
        (**self).residual(point, parameters)
    }
}
