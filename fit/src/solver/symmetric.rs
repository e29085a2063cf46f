//! Small symmetric systems.

/// Solves H·s = b for a positive definite n × n matrix after scaling its diagonal to 1; None if H is not
/// positive definite to rounding.
pub fn solve_positive(hessian: &[f64], right: &[f64]) -> Option<Vec<f64>> {
    let n = right.len();
    let mut scale = Vec::with_capacity(n);
    for j in 0..n {
        let d = hessian[j * n + j];
        if !(d > 0.0 && d.is_finite()) {
            return None;
        }
        scale.push(d.sqrt());
    }
    let mut lower: Vec<f64> = (0..n * n).map(|k| hessian[k] / (scale[k / n] * scale[k % n])).collect();
    for j in 0..n {
        for k in 0..j {
            let factor = lower[k * n + j];
            for i in j..n {
                lower[j * n + i] -= factor * lower[k * n + i];
            }
        }
        let pivot = lower[j * n + j];
        if pivot.is_nan() || pivot <= 4.0 * f64::EPSILON {
            return None;
        }
        let root = pivot.sqrt();
        lower[j * n + j..(j + 1) * n].iter_mut().for_each(|v| *v /= root);
    }
    let mut x: Vec<f64> = right.iter().zip(&scale).map(|(b, s)| b / s).collect();
    for j in 0..n {
        x[j] /= lower[j * n + j];
        for i in j + 1..n {
            x[i] -= lower[j * n + i] * x[j];
        }
    }
    for j in (0..n).rev() {
        let sum: f64 = (j + 1..n).map(|i| lower[j * n + i] * x[i]).sum();
        x[j] = (x[j] - sum) / lower[j * n + j];
    }
    x.iter_mut().zip(&scale).for_each(|(v, s)| *v /= s);
    Some(x)
}
