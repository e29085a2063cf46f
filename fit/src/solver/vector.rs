//! Norms and products that survive very large and very small entries.

/// Squares below this may have lost digits to underflow.
const SAFE_SQUARES: f64 = 1e-280;

/// Euclidean norm without overflow or destructive underflow.
pub fn norm(vector: &[f64]) -> f64 {
    let squares = dot(vector, vector);
    if squares.is_finite() && squares > SAFE_SQUARES {
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
    let squares: f64 = scale.iter().zip(vector).map(|(a, b)| (a * b) * (a * b)).sum();
    if squares.is_finite() && squares > SAFE_SQUARES {
        return squares.sqrt();
    }
    let product: Vec<f64> = scale.iter().zip(vector).map(|(a, b)| a * b).collect();
    norm(&product)
}

/// √(a² + b²); the library's `hypot` is several times slower and needed only near the ends of the range.
pub fn hypotenuse(a: f64, b: f64) -> f64 {
    let squares = a * a + b * b;
    if squares.is_finite() && squares > SAFE_SQUARES { squares.sqrt() } else { a.hypot(b) }
}

/// Scalar product. Eight sums at once, in a fixed order: one alone would wait for every addition.
#[inline]
pub fn dot(a: &[f64], b: &[f64]) -> f64 {
    let (eights_a, rest_a) = a.as_chunks::<8>();
    let (eights_b, rest_b) = b.as_chunks::<8>();
    let mut sums = [0.0; 8];
    for (x, y) in eights_a.iter().zip(eights_b) {
        for (k, sum) in sums.iter_mut().enumerate() {
            *sum += x[k] * y[k];
        }
    }
    let rest: f64 = rest_a.iter().zip(rest_b).map(|(x, y)| x * y).sum();
    ((sums[0] + sums[4]) + (sums[1] + sums[5])) + ((sums[2] + sums[6]) + (sums[3] + sums[7])) + rest
}

/// target += factor·vector.
#[inline]
pub fn add_multiple(target: &mut [f64], factor: f64, vector: &[f64]) {
    for (t, v) in target.iter_mut().zip(vector) {
        *t += factor * v;
    }
}
