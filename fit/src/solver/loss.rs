//! Robust losses, defined as SciPy's `least_squares` defines them: the cost is ½ Σ C²·ρ((r/C)²).

/// The function ρ and its scale C, in units of the residuals.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub enum Loss {
    /// ρ(z) = z: least squares.
    #[default]
    Squares,
    /// ρ(z) = z up to 1, then 2√z − 1. The cost is then Σ Huber_C(r) exactly.
    Huber(f64),
    /// ρ(z) = 2(√(1+z) − 1).
    SoftL1(f64),
    /// ρ(z) = ln(1+z).
    Cauchy(f64),
    /// ρ(z) = arctan z.
    Arctan(f64),
}

/// How the loss enters the Gauss-Newton matrix; the gradient is exact in both.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum RobustStep {
    /// Weights ρ′ alone (iteratively reweighted least squares): safe, slower.
    Reweighted,
    /// Weights ρ′ + 2zρ″, cut off where they vanish (Triggs and others, *Bundle adjustment*, 2000).
    #[default]
    Triggs,
}

impl Loss {
    /// C; 1 for least squares.
    pub fn scale(self) -> f64 {
        match self {
            Self::Squares => 1.0,
            Self::Huber(c) | Self::SoftL1(c) | Self::Cauchy(c) | Self::Arctan(c) => c,
        }
    }

    /// ρ, ρ′ and ρ″ at z ≥ 0.
    pub fn rho(self, z: f64) -> [f64; 3] {
        match self {
            Self::Squares => [z, 1.0, 0.0],
            Self::Huber(_) if z <= 1.0 => [z, 1.0, 0.0],
            Self::Huber(_) => {
                let root = z.sqrt();
                [2.0 * root - 1.0, 1.0 / root, -0.5 / (z * root)]
            }
            Self::SoftL1(_) => {
                let root = (1.0 + z).sqrt();
                // 2(√(1+z) − 1) without cancellation.
                [2.0 * z / (root + 1.0), 1.0 / root, -0.5 / (root * (1.0 + z))]
            }
            Self::Cauchy(_) => [z.ln_1p(), 1.0 / (1.0 + z), -1.0 / (1.0 + z).powi(2)],
            Self::Arctan(_) => {
                let t = 1.0 + z * z;
                [z.atan(), 1.0 / t, -2.0 * z / (t * t)]
            }
        }
    }

    /// Σ C²ρ((r/C)²): twice the cost, so that least squares gives the residual sum of squares.
    pub fn sum(self, residuals: &[f64]) -> f64 {
        if self == Self::Squares {
            return residuals.iter().map(|r| r * r).sum();
        }
        let c = self.scale();
        residuals.iter().map(|r| c * c * self.rho((r / c).powi(2))[0]).sum()
    }

    /// The factors of one residual: of its gradient (ρ′) and of the Gauss-Newton matrix (ρ′ + 2zρ″).
    pub fn weights(self, residual: f64) -> (f64, f64) {
        let z = (residual / self.scale()).powi(2);
        let [_, first, second] = self.rho(z);
        (first, first + 2.0 * z * second)
    }

    /// Scales residual and Jacobian so that plain Gauss-Newton on them takes the robust step.
    pub fn rescale(self, step: RobustStep, residuals: &mut [f64], jacobian: &mut [f64]) {
        if self == Self::Squares {
            return;
        }
        let m = residuals.len();
        let mut roots = vec![0.0; m];
        for (root, r) in roots.iter_mut().zip(residuals.iter_mut()) {
            let (gradient, curvature) = self.weights(*r);
            let weight = match step {
                RobustStep::Reweighted => gradient,
                // Where the loss is straight its curvature says nothing; a little of ρ′ keeps the
                // residual's columns in the matrix.
                RobustStep::Triggs => curvature.max(1e-3 * gradient),
            };
            *root = weight.max(f64::MIN_POSITIVE).sqrt();
            *r *= gradient / *root;
        }
        for column in jacobian.chunks_exact_mut(m.max(1)) {
            for (j, root) in column.iter_mut().zip(&roots) {
                *j *= root;
            }
        }
    }
}
