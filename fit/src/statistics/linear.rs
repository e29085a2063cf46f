//! Linear least squares by pivoted QR.

use crate::FitError;
use crate::solver::{PivotedQr, vector::norm};

/// A solved linear regression.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
pub struct Linear {
    /// Coefficients.
    pub coefficients: Vec<f64>,
    /// Their standard errors; infinite without a degree of freedom.
    pub standard_errors: Vec<f64>,
    /// (XᵀWX)⁻¹, by columns.
    #[serde(skip)]
    pub inverse: Vec<f64>,
    /// Weighted residual sum of squares.
    pub objective: f64,
    /// Points with a weight above zero, less coefficients.
    pub freedom: usize,
    /// 1 − RSS/TSS.
    pub r_squared: f64,
    /// Prediction minus measurement, unweighted.
    #[serde(skip)]
    pub residuals: Vec<f64>,
}

impl Linear {
    /// Fits y = Σ coefficientⱼ·columnⱼ. Fails if the columns are dependent or outnumber the points.
    pub fn fit(columns: &[Vec<f64>], y: &[f64], weights: Option<&[f64]>) -> Result<Self, FitError> {
        let (m, n) = (y.len(), columns.len());
        let weight = |i: usize| weights.map_or(1.0, |w| w[i]);
        let points = (0..m).filter(|&i| weight(i) > 0.0).count();
        if points < n {
            return Err(FitError::TooFewPoints { points, parameters: n });
        }
        let mut matrix = Vec::with_capacity(m * n);
        for column in columns {
            matrix.extend(column.iter().enumerate().map(|(i, v)| v * weight(i).sqrt()));
        }
        let order: Vec<usize> = (0..n).collect();
        let mut qr = PivotedQr::default();
        let norms: Vec<f64> = matrix.chunks_exact(m.max(1)).map(norm).collect();
        qr.factor(m, &matrix, &order, &norms);
        let mut triangle = Vec::new();
        qr.copy_triangle(&mut triangle);
        let largest = triangle.first().map_or(0.0, |v| v.abs());
        if (0..n).any(|j| triangle[j * n + j].abs() <= 1e-13 * largest) {
            return Err(FitError::Data(
                "the points do not differ enough to determine the coefficients (constant or repeated data)".into(),
            ));
        }
        let mut right: Vec<f64> = (0..m).map(|i| y[i] * weight(i).sqrt()).collect();
        qr.apply_transposed(&mut right);
        let solve = |b: &[f64]| {
            let mut x = b[..n].to_vec();
            for j in (0..n).rev() {
                x[j] /= triangle[j * n + j];
                for i in 0..j {
                    x[i] -= triangle[j * n + i] * x[j];
                }
            }
            x
        };
        let mut coefficients = vec![0.0; n];
        for (k, v) in solve(&right).into_iter().enumerate() {
            coefficients[qr.permutation[k]] = v;
        }
        // R⁻¹ column by column; (XᵀWX)⁻¹ = P·R⁻¹R⁻ᵀ·Pᵀ.
        let mut inverse = vec![0.0; n * n];
        for k in 0..n {
            let mut unit = vec![0.0; n];
            unit[k] = 1.0;
            let column = solve(&unit);
            for a in 0..n {
                for b in 0..n {
                    inverse[qr.permutation[a] * n + qr.permutation[b]] += column[a] * column[b];
                }
            }
        }
        let residuals: Vec<f64> =
            (0..m).map(|i| columns.iter().zip(&coefficients).map(|(c, b)| c[i] * b).sum::<f64>() - y[i]).collect();
        let objective: f64 = residuals.iter().enumerate().map(|(i, r)| weight(i) * r * r).sum();
        let freedom = points - n;
        let variance = if freedom > 0 { objective / freedom as f64 } else { f64::INFINITY };
        let standard_errors = (0..n).map(|j| (variance * inverse[j * n + j]).sqrt()).collect();
        let total: f64 = (0..m).map(weight).sum();
        let mean = (0..m).map(|i| weight(i) * y[i]).sum::<f64>() / total;
        let scatter: f64 = (0..m).map(|i| weight(i) * (y[i] - mean).powi(2)).sum();
        let r_squared = 1.0 - objective / scatter;
        Ok(Self { coefficients, standard_errors, inverse, objective, freedom, r_squared, residuals })
    }

    /// Variance of Σ coefficientⱼ·xⱼ.
    pub fn variance_at(&self, x: &[f64]) -> f64 {
        if self.freedom == 0 { f64::INFINITY } else { self.form(x) * self.objective / self.freedom as f64 }
    }

    /// Standard errors of the coefficients if the points have these variances, for a regression without
    /// weights: the roots of the diagonal of (XᵀX)⁻¹Xᵀ·V·X(XᵀX)⁻¹.
    pub fn errors_from(&self, columns: &[Vec<f64>], variances: &[f64]) -> Vec<f64> {
        let n = columns.len();
        let factor = |j: usize, i: usize| (0..n).map(|k| self.inverse[k * n + j] * columns[k][i]).sum::<f64>();
        (0..n)
            .map(|j| variances.iter().enumerate().map(|(i, v)| factor(j, i).powi(2) * v).sum::<f64>().sqrt())
            .collect()
    }

    /// xᵀ(XᵀWX)⁻¹x: that variance for points of variance 1.
    pub fn form(&self, x: &[f64]) -> f64 {
        let n = x.len();
        (0..n).flat_map(|j| (0..n).map(move |i| (i, j))).map(|(i, j)| x[i] * x[j] * self.inverse[j * n + i]).sum()
    }
}
