//! The true minimum of a robust objective: Newton's method with the exact Hessian in a trust region.
//!
//! Where most residuals lie on the straight part of a loss (Huber with a small δ), the Gauss-Newton
//! matrix knows nothing of them and Levenberg-Marquardt creeps. The exact Hessian, curvature of the
//! model included, converges in a few steps; its eigenvectors give the exact step of the trust region
//! even where it is not positive (Moré and Sorensen, 1983).

use super::loss::Loss;
use super::polish::hessian;
use super::vector::{dot, norm};
use crate::problem::Problem;

/// Eigenvalues and eigenvectors (one a row) of a symmetric n × n matrix, by Jacobi's rotations.
fn eigen(mut a: Vec<f64>, n: usize) -> (Vec<f64>, Vec<Vec<f64>>) {
    let mut v: Vec<Vec<f64>> = (0..n).map(|j| (0..n).map(|i| f64::from(u8::from(i == j))).collect()).collect();
    for _ in 0..50 {
        let off: f64 = (0..n).flat_map(|j| (0..j).map(move |i| (i, j))).map(|(i, j)| a[j * n + i].powi(2)).sum();
        let on: f64 = (0..n).map(|j| a[j * n + j].powi(2)).sum();
        if off <= 1e-32 * on {
            break;
        }
        for p in 0..n {
            for q in p + 1..n {
                let apq = a[q * n + p];
                if apq == 0.0 {
                    continue;
                }
                let theta = (a[q * n + q] - a[p * n + p]) / (2.0 * apq);
                let t = theta.signum() / (theta.abs() + (theta * theta + 1.0).sqrt());
                let c = 1.0 / (t * t + 1.0).sqrt();
                let s = t * c;
                for k in 0..n {
                    let (x, y) = (a[p * n + k], a[q * n + k]);
                    (a[p * n + k], a[q * n + k]) = (c * x - s * y, s * x + c * y);
                }
                for k in 0..n {
                    let (x, y) = (a[k * n + p], a[k * n + q]);
                    (a[k * n + p], a[k * n + q]) = (c * x - s * y, s * x + c * y);
                }
                let (left, right) = v.split_at_mut(q);
                for (x, y) in left[p].iter_mut().zip(right[0].iter_mut()) {
                    (*x, *y) = (c * *x - s * *y, s * *x + c * *y);
                }
            }
        }
    }
    ((0..n).map(|j| a[j * n + j]).collect(), v)
}

/// The minimiser of g·s + ½ s·H·s within ‖s‖ ≤ radius, from H's eigenvalues and g in their basis.
fn region_step(values: &[f64], gradient: &[f64], radius: f64) -> Vec<f64> {
    let step = |shift: f64| -> Vec<f64> {
        gradient.iter().zip(values).map(|(g, l)| if *g == 0.0 { 0.0 } else { -g / (l + shift) }).collect()
    };
    let lowest = values.iter().fold(f64::INFINITY, |s, v| s.min(*v));
    let highest = values.iter().fold(0.0_f64, |s, v| s.max(v.abs()));
    if lowest > 1e-14 * highest {
        let free = step(0.0);
        if norm(&free) <= radius {
            return free;
        }
    }
    let mut low = (-lowest).max(0.0);
    let mut high = low + norm(gradient) / radius + 1e-12 * highest;
    for _ in 0..200 {
        let middle = 0.5 * (low + high);
        let length = norm(&step(middle));
        if length.is_finite() && length <= radius {
            high = middle;
        } else {
            low = middle;
        }
        if high - low <= 1e-3 * high || (length - radius).abs() <= 0.01 * radius {
            break;
        }
    }
    step(high)
}

/// Eigenvalues, gradient in their basis, eigenvectors, and scale of the parameters.
type QuadraticModel = (Vec<f64>, Vec<f64>, Vec<Vec<f64>>, Vec<f64>);

/// Lowers the objective from `start` with exact second derivatives; never returns a worse point. Gives
/// parameters, Σ C²ρ((r/C)²), and whether the Newton decrement fell below 1e-9 of the objective's root.
pub fn newton<P: Problem + ?Sized>(problem: &P, loss: Loss, start: &[f64], steps: usize) -> (Vec<f64>, f64, bool) {
    let (m, n) = (problem.residual_count(), start.len());
    let mut x = start.to_vec();
    let (mut residuals, mut jacobian) = (vec![0.0; m], vec![0.0; m * n]);
    problem.residuals(&x, &mut residuals);
    let mut objective = loss.sum(&residuals);
    let (mut radius, mut trial_residuals) = (f64::INFINITY, vec![0.0; m]);
    let mut linear: Option<QuadraticModel> = None;
    for _ in 0..steps {
        if linear.is_none() {
            problem.jacobian(&x, &mut jacobian);
            let influences: Vec<f64> = residuals.iter().map(|&r| r * loss.weights(r).0).collect();
            let gradient: Vec<f64> = jacobian.chunks_exact(m).map(|c| dot(c, &influences)).collect();
            let mut matrix = hessian(problem, loss, &x, &residuals, &jacobian);
            // Scaled by the Jacobian's columns, so that the region is round in units of the residuals.
            let scale: Vec<f64> = jacobian.chunks_exact(m).map(|c| norm(c).max(f64::MIN_POSITIVE)).collect();
            for (k, v) in matrix.iter_mut().enumerate() {
                *v /= scale[k / n] * scale[k % n];
            }
            if !matrix.iter().chain(&gradient).all(|v| v.is_finite()) {
                return (x, objective, false);
            }
            let (values, vectors) = eigen(matrix, n);
            let scaled: Vec<f64> = gradient.iter().zip(&scale).map(|(g, s)| g / s).collect();
            let rotated: Vec<f64> = vectors.iter().map(|v| dot(v, &scaled)).collect();
            linear = Some((values, rotated, vectors, scale));
        }
        let Some((values, rotated, vectors, scale)) = &linear else { break };
        if !radius.is_finite() {
            radius = objective.sqrt().max(1e-12);
        }
        let inner = region_step(values, rotated, radius);
        let predicted: f64 = inner.iter().zip(values).zip(rotated).map(|((s, l), g)| -(g * s + 0.5 * l * s * s)).sum();
        if predicted <= 1e-18 * objective {
            return (x, objective, true);
        }
        let mut trial = x.clone();
        for (s, vector) in inner.iter().zip(vectors) {
            for ((t, v), d) in trial.iter_mut().zip(vector).zip(scale) {
                *t += s * v / d;
            }
        }
        problem.residuals(&trial, &mut trial_residuals);
        let sum = loss.sum(&trial_residuals);
        // The objective is twice the cost that the quadratic model is of.
        let ratio = 0.5 * (objective - sum) / predicted;
        let length = norm(&inner);
        if ratio.is_nan() || ratio < 0.25 {
            radius = 0.25 * length;
        } else if ratio > 0.75 {
            radius = radius.max(2.5 * length);
        }
        if ratio > 1e-6 && sum < objective {
            (x, objective) = (trial, sum);
            residuals.copy_from_slice(&trial_residuals);
            linear = None;
        } else if radius <= 1e-14 * norm(&x.iter().zip(scale).map(|(a, b)| a * b).collect::<Vec<_>>()) {
            return (x, objective, predicted <= 1e-12 * objective);
        }
    }
    (x, objective, false)
}
