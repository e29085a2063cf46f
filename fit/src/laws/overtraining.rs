//! Over-training: at each ratio M of tokens to parameters ln L = −η·ln C + constant over sizes.
//!
//! Gadre and others, *Language models scale reliably with over-training and on downstream tasks*, 2024:
//! lines of different M are parallel if η does not depend on M.

use super::power_law::PowerLaw;
use crate::FitError;

/// The line of one ratio.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
pub struct Slope {
    /// Label of the ratio M.
    pub ratio: f64,
    /// Runs.
    pub runs: usize,
    /// η.
    pub eta: f64,
    /// Standard error of η; infinite for two runs.
    pub eta_error: f64,
    /// The law L = A·C^−η.
    pub law: PowerLaw,
}

/// A run of the over-training grid.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Run {
    /// Label of the ratio M.
    pub ratio: f64,
    /// Training FLOPs.
    pub flops: f64,
    /// Loss.
    pub loss: f64,
    /// Weight.
    pub weight: f64,
}

/// Fits one line a ratio, in rising order of the ratio. Ratios with one run are
/// left out and returned apart.
pub fn fit(runs: &[Run]) -> Result<(Vec<Slope>, Vec<f64>), FitError> {
    let mut ratios: Vec<f64> = runs.iter().map(|r| r.ratio).collect();
    ratios.sort_by(f64::total_cmp);
    ratios.dedup();
    let (mut slopes, mut alone) = (Vec::new(), Vec::new());
    for ratio in ratios {
        let group: Vec<_> = runs.iter().filter(|r| r.ratio == ratio && r.weight > 0.0).collect();
        if group.len() < 2 {
            alone.push(ratio);
            continue;
        }
        let flops: Vec<f64> = group.iter().map(|r| r.flops).collect();
        let losses: Vec<f64> = group.iter().map(|r| r.loss).collect();
        let weights: Vec<f64> = group.iter().map(|r| r.weight).collect();
        let law = PowerLaw::fit(&flops, &losses, Some(&weights))
            .map_err(|e| FitError::Data(format!("tokens per parameter {ratio}: {e}")))?;
        slopes.push(Slope { ratio, runs: group.len(), eta: -law.exponent, eta_error: law.exponent_error, law });
    }
    if slopes.is_empty() {
        return Err(FitError::Data("no ratio of tokens to parameters has two runs".into()));
    }
    Ok((slopes, alone))
}
