//! Whether kernels use the matrix units: where the adapter has them, nobody asked for plain kernels, and a trial of the
//! kernels on first use, on this very device, gave what the CPU gives.

use std::cell::Cell;
use std::collections::HashMap;

use super::{Gpu, lock};
use crate::error::Result;
use crate::ops::trial;

/// A family of kernels on matrix units, with the sizes that decide which kernels run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Units {
    /// Matrix products.
    Product,
    /// Attention.
    Attention { head_dim: usize },
    /// The mLSTM.
    Mlstm { qk_dim: usize, v_dim: usize, chunk_size: usize },
}

/// What the trials so far have found.
pub(crate) type Trusted = HashMap<Units, bool>;

thread_local! {
    /// Whether this thread is trying the kernels, which therefore run.
    static TRYING: Cell<bool> = const { Cell::new(false) };
}

/// While it lives, kernels on matrix units run on this thread without a trial.
struct Trying;

impl Trying {
    fn begin() -> Self {
        TRYING.set(true);
        Self
    }
}

impl Drop for Trying {
    fn drop(&mut self) {
        TRYING.set(false);
    }
}

impl Gpu {
    /// Whether products of f16 run on the matrix units: the adapter has them, see
    /// [`super::AdapterReport::has_matrix_units`], and the kernels have passed their trial.
    pub fn uses_matrix_units(&self) -> bool {
        self.trusts(Units::Product)
    }

    /// The same for one family of kernels. The first call tries them.
    pub(crate) fn trusts(&self, units: Units) -> bool {
        if !self.0.report.has_matrix_units() || self.0.options.plain_kernels {
            return false;
        }
        if TRYING.get() {
            return true;
        }
        // Held while they are tried: other threads wait for what is found.
        let mut trusted = lock(&self.0.trusted);
        *trusted.entry(units).or_insert_with(|| {
            let trying = Trying::begin();
            let found = trial::run(self, units);
            drop(trying);
            is_trusted(&self.0.report.name, units, found)
        })
    }
}

/// What follows from a trial; a failed one is told to the user.
fn is_trusted(adapter: &str, units: Units, found: Result<()>) -> bool {
    let Err(why) = found else { return true };
    eprintln!("warning: {}", refusal(adapter, units, &why.to_string()));
    false
}

fn refusal(adapter: &str, units: Units, why: &str) -> String {
    format!(
        "the kernels on matrix units ({units:?}) did not pass their trial on {adapter}: {why}. The plain kernels are used \
         instead; please report this with the driver's version, which `gradus devices` names"
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Error;
    use crate::check::test_device;
    use crate::device::Device;

    #[test]
    fn a_failed_trial_is_a_warning_that_names_adapter_kernels_and_reason() {
        let units = Units::Attention { head_dim: 64 };
        assert!(is_trusted("card", units, Ok(())));
        assert!(!is_trusted("card", units, Err(Error::Gpu("lost its way".into()))));
        let said = refusal("card", units, "d_key differs");
        assert!(["card", "Attention", "64", "d_key differs", "plain kernels"].iter().all(|part| said.contains(part)));
    }

    /// Where an adapter has matrix units its trials pass; where it has none, none are used and nothing is tried.
    #[test]
    fn matrix_units_are_used_where_they_are_and_pass() {
        let Some(Device::Gpu(gpu)) = test_device::gpu() else { return };
        let all = [
            Units::Product,
            Units::Attention { head_dim: 64 },
            Units::Mlstm { qk_dim: 64, v_dim: 128, chunk_size: 64 },
        ];
        for units in all {
            let expected = gpu.report().has_matrix_units() && !gpu.0.options.plain_kernels;
            assert_eq!(gpu.trusts(units), expected, "{units:?}");
        }
        assert_eq!(lock(&gpu.0.trusted).len() >= all.len(), gpu.uses_matrix_units());
        assert!(!TRYING.get());
    }
}
