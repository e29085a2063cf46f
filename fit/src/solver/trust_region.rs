//! The step of a scaled trust region: minimise ‖J·s + f‖ under ‖D·s‖ ≤ Δ.
//!
//! J. J. Moré, *The Levenberg-Marquardt algorithm: implementation and theory*, 1978. The parameter λ of
//! (JᵀJ + λD²)s = −Jᵀf is found by Newton's method on ‖D·s(λ)‖ = Δ; each solve eliminates √λ·D from
//! [R; √λ·D] by Givens rotations, so JᵀJ is never formed.

use super::vector::{add_multiple, dot, hypotenuse, norm, scaled_norm};

/// R of A·P = Q·R with Qᵀf, and memory for the solves.
#[derive(Debug, Clone, Default)]
pub struct Subproblem {
    /// R, n × n by columns, in pivoted order.
    pub triangle: Vec<f64>,
    /// First n entries of Qᵀf.
    pub projected: Vec<f64>,
    /// Column of each pivoted position.
    pub permutation: Vec<usize>,
    /// D, in the order of the columns before pivoting.
    pub scale: Vec<f64>,
    damped: Vec<f64>,
    work: Vec<f64>,
    row: Vec<f64>,
    direction: Vec<f64>,
}

impl Subproblem {
    fn size(&self) -> usize {
        self.permutation.len()
    }

    /// Number of leading pivots that are not lost to underflow.
    fn sound_pivots(triangle: &[f64], n: usize) -> usize {
        (0..n).take_while(|&j| triangle[j * n + j].abs() > f64::MIN_POSITIVE).count()
    }

    /// Writes s with (JᵀJ + λD²)s = Jᵀb, where `projected` is Qᵀb; λ may be 0. Dependent columns get 0.
    pub fn damped_solve(&mut self, lambda: f64, projected: &[f64], step: &mut [f64]) {
        let n = self.size();
        self.damped.clone_from(&self.triangle);
        self.work.clear();
        self.work.extend_from_slice(&projected[..n]);
        let root = lambda.sqrt();
        for j in 0..n {
            self.eliminate(j, root * self.scale[self.permutation[j]]);
        }
        let rank = Self::sound_pivots(&self.damped, n);
        self.work[rank..].fill(0.0);
        for j in (0..rank).rev() {
            let (above, rest) = self.work.split_at_mut(j);
            rest[0] /= self.damped[j * n + j];
            add_multiple(above, -rest[0], &self.damped[j * n..j * n + j]);
        }
        for j in 0..n {
            step[self.permutation[j]] = self.work[j];
        }
    }

    /// Rotates the row `entry·eⱼᵀ` into the triangle.
    fn eliminate(&mut self, j: usize, entry: f64) {
        if entry == 0.0 {
            return;
        }
        let n = self.size();
        self.row.clear();
        self.row.resize(n, 0.0);
        self.row[j] = entry;
        let mut right = 0.0;
        for k in j..n {
            if self.row[k] == 0.0 {
                continue;
            }
            let pivot = self.damped[k * n + k];
            let length = hypotenuse(pivot, self.row[k]);
            let (cosine, sine) = (pivot / length, self.row[k] / length);
            for i in k..n {
                let above = self.damped[i * n + k];
                self.damped[i * n + k] = cosine * above + sine * self.row[i];
                self.row[i] = cosine * self.row[i] - sine * above;
            }
            let above = self.work[k];
            self.work[k] = cosine * above + sine * right;
            right = cosine * right - sine * above;
        }
    }

    /// Solves Tᵀw = v in place for the upper triangle T.
    fn solve_transposed(triangle: &[f64], vector: &mut [f64]) {
        let n = vector.len();
        for j in 0..n {
            let sum = dot(&triangle[j * n..j * n + j], &vector[..j]);
            vector[j] = (vector[j] - sum) / triangle[j * n + j];
        }
    }

    /// Writes the minimiser s of ‖J·s − b‖ within ‖D·s‖ ≤ Δ (to 10 %) and returns its λ. `lambda` is the
    /// λ of the last step, a first guess.
    pub fn solve(&mut self, radius: f64, lambda: f64, step: &mut [f64]) -> f64 {
        let n = self.size();
        let projected = std::mem::take(&mut self.projected);
        self.damped_solve(0.0, &projected, step);
        let mut length = scaled_norm(&self.scale, step);
        let mut excess = length - radius;
        if excess <= 0.1 * radius {
            self.projected = projected;
            return 0.0;
        }
        let mut low = 0.0;
        if Self::sound_pivots(&self.triangle, n) == n {
            let bound = excess / radius / self.slope(false, length, step);
            if bound.is_finite() {
                low = bound;
            }
        }
        self.direction.clear();
        for j in 0..n {
            let sum = dot(&self.triangle[j * n..=j * n + j], &projected[..=j]);
            self.direction.push(sum / self.scale[self.permutation[j]]);
        }
        let gradient_norm = norm(&self.direction);
        let mut high = gradient_norm / radius;
        if high == 0.0 {
            high = f64::MIN_POSITIVE / radius.min(0.1);
        }
        let mut lambda = lambda.clamp(low, high.max(low));
        if lambda == 0.0 {
            lambda = gradient_norm / length;
        }
        for _ in 0..10 {
            if lambda == 0.0 {
                lambda = f64::MIN_POSITIVE.max(0.001 * high);
            }
            self.damped_solve(lambda, &projected, step);
            length = scaled_norm(&self.scale, step);
            let before = excess;
            excess = length - radius;
            if excess.abs() <= 0.1 * radius || (low == 0.0 && excess <= before && before < 0.0) {
                break;
            }
            let correction = excess / radius / self.slope(true, length, step);
            if excess > 0.0 {
                low = low.max(lambda);
            } else {
                high = high.min(lambda);
            }
            lambda = low.max(if correction.is_finite() { lambda + correction } else { 0.5 * (low + high) });
        }
        self.projected = projected;
        lambda
    }

    /// Squared norm of T⁻ᵀPᵀD²s/‖Ds‖, T the triangle with or without damping: −φ′(λ)·Δ/φ.
    fn slope(&mut self, damped: bool, length: f64, step: &[f64]) -> f64 {
        self.direction.clear();
        self.direction.extend(self.permutation.iter().map(|&l| self.scale[l] * (self.scale[l] * step[l] / length)));
        Self::solve_transposed(if damped { &self.damped } else { &self.triangle }, &mut self.direction);
        norm(&self.direction).powi(2)
    }
}
