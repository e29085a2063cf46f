//! Householder QR with column pivoting: A·P = Q·R.
//!
//! Businger and Golub, *Linear least squares solutions by Householder transformations*, 1965, with the
//! norm down-dating that Moré uses in MINPACK.

use super::vector::{add_multiple, dot, norm};

/// The factors of an m × n matrix, m ≥ 1; R has min(m, n) rows.
#[derive(Debug, Clone, Default)]
pub struct PivotedQr {
    rows: usize,
    /// Householder vectors below the diagonal, R strictly above it; by columns.
    matrix: Vec<f64>,
    /// Diagonal of R.
    diagonal: Vec<f64>,
    /// Column of A at each position.
    pub permutation: Vec<usize>,
    remaining: Vec<f64>,
    reference: Vec<f64>,
}

impl PivotedQr {
    /// Factors the chosen `columns` of a matrix with `rows` rows, stored by columns; `norms` are those of all
    /// its columns. Reuses its memory.
    pub fn factor(&mut self, rows: usize, matrix: &[f64], columns: &[usize], norms: &[f64]) {
        let n = columns.len();
        self.rows = rows;
        self.matrix.clear();
        for &c in columns {
            self.matrix.extend_from_slice(&matrix[c * rows..(c + 1) * rows]);
        }
        self.permutation.clear();
        self.permutation.extend(0..n);
        self.remaining.clear();
        self.remaining.extend(columns.iter().map(|&c| norms[c]));
        self.reference.clone_from(&self.remaining);
        self.diagonal.clear();
        self.diagonal.resize(n, 0.0);
        for j in 0..rows.min(n) {
            self.pivot(j);
            self.reflect(j);
        }
    }

    fn pivot(&mut self, j: usize) {
        let n = self.permutation.len();
        let mut best = j;
        for k in j + 1..n {
            if self.remaining[k] > self.remaining[best] {
                best = k;
            }
        }
        if best != j {
            let m = self.rows;
            let (left, right) = self.matrix.split_at_mut(best * m);
            left[j * m..(j + 1) * m].swap_with_slice(&mut right[..m]);
            self.permutation.swap(j, best);
            self.remaining[best] = self.remaining[j];
            self.reference[best] = self.reference[j];
        }
    }

    fn reflect(&mut self, j: usize) {
        let m = self.rows;
        let (done, rest) = self.matrix.split_at_mut((j + 1) * m);
        let column = &mut done[j * m + j..];
        let mut length = norm(column);
        if length == 0.0 {
            self.diagonal[j] = 0.0;
            return;
        }
        if column[0] < 0.0 {
            length = -length;
        }
        let inverse = 1.0 / length;
        if inverse.is_normal() {
            column.iter_mut().for_each(|x| *x *= inverse);
        } else {
            column.iter_mut().for_each(|x| *x /= length);
        }
        column[0] += 1.0;
        for (offset, other) in rest.chunks_exact_mut(m).enumerate() {
            let k = j + 1 + offset;
            let tail = &mut other[j..];
            let factor = -dot(column, tail) / column[0];
            add_multiple(tail, factor, column);
            if self.remaining[k] == 0.0 {
                continue;
            }
            let ratio = tail[0] / self.remaining[k];
            self.remaining[k] *= (1.0 - ratio * ratio).max(0.0).sqrt();
            // Repeated down-dating loses the norm by cancellation; then it is computed afresh.
            if 0.05 * (self.remaining[k] / self.reference[k]).powi(2) <= f64::EPSILON {
                self.remaining[k] = norm(&tail[1..]);
                self.reference[k] = self.remaining[k];
            }
        }
        self.diagonal[j] = -length;
    }

    /// Overwrites `vector` (length m) with Qᵀ·vector.
    pub fn apply_transposed(&self, vector: &mut [f64]) {
        let m = self.rows;
        for j in 0..m.min(self.permutation.len()) {
            let column = &self.matrix[j * m + j..(j + 1) * m];
            if column[0] == 0.0 {
                continue;
            }
            let tail = &mut vector[j..];
            let factor = -dot(column, tail) / column[0];
            add_multiple(tail, factor, column);
        }
    }

    /// ‖A·s‖ = ‖R·Pᵀs‖ for a vector s in the order of A's columns.
    pub fn image_length(&self, vector: &[f64], work: &mut Vec<f64>) -> f64 {
        work.clear();
        work.resize(self.rows.min(self.permutation.len()), 0.0);
        for (j, &column) in self.permutation.iter().enumerate() {
            let s = vector[column];
            let above = j.min(self.rows);
            add_multiple(&mut work[..above], s, &self.matrix[j * self.rows..j * self.rows + above]);
            if j < self.rows {
                work[j] += self.diagonal[j] * s;
            }
        }
        norm(work)
    }

    /// Copies R into an n × n matrix by columns (rows beyond m are zero).
    pub fn copy_triangle(&self, triangle: &mut Vec<f64>) {
        let n = self.permutation.len();
        triangle.clear();
        triangle.resize(n * n, 0.0);
        for j in 0..n {
            for i in 0..j.min(self.rows) {
                triangle[j * n + i] = self.matrix[j * self.rows + i];
            }
            triangle[j * n + j] = self.diagonal[j];
        }
    }
}
