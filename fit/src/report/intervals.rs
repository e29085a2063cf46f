//! Intervals of a fit's parameters, as text and as JSON: by profile likelihood, and by the studentised
//! bootstrap of residuals where there are points enough.

use super::{Request, with_error};
use crate::FitError;
use crate::fit::{Fit, FitResult};
use crate::problem::Problem;
use crate::statistics::{Bootstrap, Interval, MIN_POINTS, Resample, bootstrap, profile_intervals};
use serde_json::{Value, json};

/// What is known of each parameter.
pub(super) struct Intervals {
    level: f64,
    profile: Vec<Interval>,
    refits: Option<Bootstrap>,
    asked: usize,
}

impl Intervals {
    /// Both intervals of a solved fit; no bootstrap of too few points, or of a fit that the data do not
    /// determine.
    pub fn of<P: Problem + ?Sized>(fit: &Fit<'_, P>, best: &FitResult, request: &Request) -> Result<Self, FitError> {
        let enough = best.points >= MIN_POINTS && best.information.undetermined.is_empty();
        let refits = if request.bootstrap > 0 && enough {
            Some(bootstrap(fit, best, Resample::Residuals, request.bootstrap, request.seed)?)
        } else {
            None
        };
        let profile = profile_intervals(fit, best, request.level)?;
        Ok(Self { level: request.level, profile, refits, asked: request.bootstrap })
    }

    fn studentised(&self, best: &FitResult, j: usize) -> Option<Interval> {
        self.refits.as_ref().filter(|_| best.free.contains(&j)).map(|r| r.studentised(j, self.level))
    }

    /// `a = 1.20 ± 0.03   profile 95 %: …   bootstrap: …`, one line.
    pub fn line(&self, best: &FitResult, j: usize) -> String {
        let mut text = format!("{:>12} = {}", best.names[j], with_error(best.parameters[j], best.standard_errors[j]));
        if best.free.contains(&j) {
            text.push_str(&format!("   profile {:.0} %: {}", 100.0 * self.level, range(self.profile[j])));
        }
        if let Some(interval) = self.studentised(best, j) {
            text.push_str(&format!("   bootstrap: {}", range(interval)));
        }
        text.push('\n');
        text
    }

    /// Name, value, standard error and both intervals.
    pub fn json(&self, best: &FitResult, j: usize) -> Value {
        json!({ "name": best.names[j], "value": best.parameters[j], "standard_error": best.standard_errors[j],
                "profile": self.profile[j], "bootstrap": self.studentised(best, j) })
    }

    /// Of all parameters that are not held.
    pub fn free_json(&self, best: &FitResult) -> Vec<Value> {
        best.free.iter().map(|&j| self.json(best, j)).collect()
    }

    /// What there is to say of the bootstrap: refits that failed, or why there is none.
    pub fn remarks(&self, best: &FitResult) -> String {
        match &self.refits {
            Some(refits) if refits.failed > 0 => {
                format!("{} of {} bootstrap refits did not converge and are left out\n", refits.failed, self.asked)
            }
            None if self.asked > 0 && best.points < MIN_POINTS => {
                format!("no bootstrap: {} points, it needs {MIN_POINTS}\n", best.points)
            }
            _ => String::new(),
        }
    }
}

/// `1.2e-3 to ∞`.
fn range(interval: Interval) -> String {
    let end = |value: f64| match value {
        f64::INFINITY => "∞".to_string(),
        f64::NEG_INFINITY => "−∞".to_string(),
        value if (1e-2..1e5).contains(&value.abs()) || value == 0.0 => format!("{value:.6}"),
        value => format!("{value:.6e}"),
    };
    format!("{} to {}", end(interval.low), end(interval.high))
}
