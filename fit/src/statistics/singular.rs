//! Singular values of a small matrix by one-sided Jacobi rotations: accurate to rounding even for
//! the smallest, which rank and covariance depend on.

/// A = U·Σ·Vᵀ of an n × n matrix by columns; singular values in falling order.
#[derive(Debug, Clone, PartialEq)]
pub struct Singular {
    /// Singular values.
    pub values: Vec<f64>,
    /// Columns of V, one vector each.
    pub right: Vec<Vec<f64>>,
}

impl Singular {
    /// Decomposes the `n` × `n` matrix stored by columns.
    pub fn decompose(matrix: &[f64], n: usize) -> Self {
        let mut a: Vec<Vec<f64>> = (0..n).map(|j| matrix[j * n..(j + 1) * n].to_vec()).collect();
        let mut v: Vec<Vec<f64>> = (0..n).map(|j| (0..n).map(|i| if i == j { 1.0 } else { 0.0 }).collect()).collect();
        for _sweep in 0..60 {
            let mut rotated = false;
            for p in 0..n {
                for q in p + 1..n {
                    rotated |= Self::rotate(&mut a, &mut v, p, q);
                }
            }
            if !rotated {
                break;
            }
        }
        let mut order: Vec<(f64, usize)> =
            a.iter().enumerate().map(|(j, c)| (c.iter().map(|x| x * x).sum::<f64>().sqrt(), j)).collect();
        order.sort_by(|x, y| y.0.total_cmp(&x.0));
        Self { values: order.iter().map(|o| o.0).collect(), right: order.iter().map(|o| v[o.1].clone()).collect() }
    }

    /// Makes columns p and q orthogonal; false if they already were.
    fn rotate(a: &mut [Vec<f64>], v: &mut [Vec<f64>], p: usize, q: usize) -> bool {
        let sums = a[p].iter().zip(&a[q]).fold([0.0; 3], |s, (x, y)| [s[0] + x * x, s[1] + y * y, s[2] + x * y]);
        let [alpha, beta, gamma] = sums;
        if gamma == 0.0 || gamma.abs() <= f64::EPSILON * (alpha * beta).sqrt() {
            return false;
        }
        let zeta = (beta - alpha) / (2.0 * gamma);
        let tangent = zeta.signum() / (zeta.abs() + (1.0 + zeta * zeta).sqrt());
        let cosine = 1.0 / (1.0 + tangent * tangent).sqrt();
        let sine = cosine * tangent;
        for pair in [a, v] {
            let (left, right) = pair.split_at_mut(q);
            for (x, y) in left[p].iter_mut().zip(right[0].iter_mut()) {
                (*x, *y) = (cosine * *x - sine * *y, sine * *x + cosine * *y);
            }
        }
        true
    }
}
