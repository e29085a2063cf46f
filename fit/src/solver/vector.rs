//! Norms and products that survive very large and very small entries.

/// Euclidean norm without overflow or destructive underflow.
pub fn norm(vector: &[f64]) -> f64 {
    let squares: f64 = vector.iter().map(|x| x * x).sum();
    if squares.is_finite() && squares > 1e-280 {
        return squares.sqrt();
    }
    let largest = vector.iter().fold(0.0_f64, |s, x| s.max(x.abs()));
    if largest == 0.0 || !largest.is_finite() {
        // `max` drops NaN; the sum does not.
        return if squares.is_nan() { f64::NAN } else { largest };
    }
    largest * vector.iter().map(|x| (x / largest).powi(2)).sum::<f64>().sqrt()
}

/// Norm of the termwise product.
pub fn scaled_norm(scale: &[f64], vector: &[f64]) -> f64 {
    let product: Vec<f64> = scale.iter().zip(vector).map(|(a, b)| a * b).collect();
    norm(&product)
}

/// Scalar product.
pub fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(x, y)| x * y).sum()
}
