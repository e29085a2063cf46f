//! What the Jacobian at the minimum says of the parameters: covariance, rank, condition, and the
//! combinations that the data do not determine.

use super::singular::Singular;
use crate::solver::{PivotedQr, vector::norm};

/// The information in a Jacobian.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
pub struct Information {
    /// Number of combinations of parameters that the data determine.
    pub rank: usize,
    /// Largest over smallest singular value of the Jacobian with columns scaled to length 1.
    pub condition: f64,
    /// (JᵀJ)⁻¹ over the determined combinations, n × n by columns.
    #[serde(skip)]
    pub inverse: Vec<f64>,
    /// For each parameter: whether it is determined at all.
    pub determined: Vec<bool>,
    /// The combinations not determined, as coefficients of the parameters (largest 1): moving along one
    /// leaves every prediction as it is, to first order.
    pub undetermined: Vec<Vec<f64>>,
}

impl Information {
    /// Examines an m × n Jacobian by columns whose entries carry a relative error `derivative_error`.
    pub fn of(jacobian: &[f64], m: usize, n: usize, derivative_error: f64) -> Self {
        let lengths: Vec<f64> = (0..n).map(|j| norm(&jacobian[j * m..(j + 1) * m])).collect();
        let mut scaled = jacobian.to_vec();
        for (j, &length) in lengths.iter().enumerate() {
            if length > 0.0 {
                scaled[j * m..(j + 1) * m].iter_mut().for_each(|v| *v /= length);
            }
        }
        let columns: Vec<usize> = (0..n).collect();
        let mut qr = PivotedQr::default();
        let norms: Vec<f64> = lengths.iter().map(|l| if *l > 0.0 { 1.0 } else { 0.0 }).collect();
        qr.factor(m, &scaled, &columns, &norms);
        let mut triangle = Vec::new();
        qr.copy_triangle(&mut triangle);
        let svd = Singular::decompose(&triangle, n);
        let tolerance =
            svd.values.first().copied().unwrap_or(0.0) * (10.0 * m.max(n) as f64).max(100.0) * derivative_error;
        let rank = svd.values.iter().take_while(|s| **s > tolerance && **s > 0.0).count();
        // Back from pivoted order and column scaling to the parameters.
        let unscale = |vector: &[f64]| {
            let mut out = vec![0.0; n];
            for (k, &value) in vector.iter().enumerate() {
                let j = qr.permutation[k];
                out[j] = value / if lengths[j] > 0.0 { lengths[j] } else { 1.0 };
            }
            out
        };
        let mut inverse = vec![0.0; n * n];
        for (value, vector) in svd.values.iter().zip(&svd.right).take(rank) {
            let direction = unscale(vector);
            for j in 0..n {
                for i in 0..n {
                    inverse[j * n + i] += direction[i] / value * (direction[j] / value);
                }
            }
        }
        let mut determined = vec![true; n];
        let mut undetermined = Vec::new();
        for vector in &svd.right[rank..] {
            for (k, value) in vector.iter().enumerate() {
                if value.abs() > 1e-6 {
                    determined[qr.permutation[k]] = false;
                }
            }
            let mut direction = unscale(vector);
            let largest = direction.iter().fold(0.0_f64, |a, &b| if b.abs() > a.abs() { b } else { a });
            direction.iter_mut().for_each(|v| *v /= largest);
            undetermined.push(direction);
        }
        let condition = match (svd.values.first(), svd.values.last()) {
            (Some(high), Some(low)) if *low > 0.0 => high / low,
            (Some(_), Some(_)) => f64::INFINITY,
            _ => 1.0,
        };
        Self { rank, condition, inverse, determined, undetermined }
    }

    /// Standard errors for a residual variance; infinite for a parameter that is not determined.
    pub fn standard_errors(&self, variance: f64) -> Vec<f64> {
        let n = self.determined.len();
        (0..n)
            .map(|j| if self.determined[j] { (variance * self.inverse[j * n + j]).sqrt() } else { f64::INFINITY })
            .collect()
    }

    /// Correlation of parameters i and j; 0 where one is not determined.
    pub fn correlation(&self, i: usize, j: usize) -> f64 {
        let n = self.determined.len();
        let product = (self.inverse[i * n + i] * self.inverse[j * n + j]).sqrt();
        if product > 0.0 && self.determined[i] && self.determined[j] { self.inverse[j * n + i] / product } else { 0.0 }
    }

    /// The undetermined combinations in words, e.g. `a + 0.5·b`.
    pub fn describe(&self, names: &[String]) -> Vec<String> {
        self.undetermined
            .iter()
            .map(|direction| {
                let mut text = String::new();
                for (value, name) in direction.iter().zip(names) {
                    if value.abs() < 1e-9 {
                        continue;
                    }
                    let sign = if *value < 0.0 { "−" } else { "+" };
                    if !text.is_empty() || *value < 0.0 {
                        text.push_str(if text.is_empty() { sign } else { " " });
                        if text.ends_with(' ') {
                            text.push_str(sign);
                            text.push(' ');
                        }
                    }
                    if (value.abs() - 1.0).abs() < 1e-12 {
                        text.push_str(name);
                    } else {
                        text.push_str(&format!("{:.4e}·{name}", value.abs()));
                    }
                }
                text
            })
            .collect()
    }
}
