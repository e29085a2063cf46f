//! How long a launch takes: on a GPU by the device's own clock, summed over the launch's dispatches, on the CPU by the wall's.
//!
//! A card that was idle runs at a fraction of its clock, so launches are repeated for half a second before anything counts.
//! A figure is the median of several batches, each of several launches in one submission.

use std::collections::VecDeque;
use std::time::Instant;

use gradus_engine::{Device, Error, Result, Tensor};
use serde_json::{Value, json};

use super::session::Session;

/// Records one launch and gives its output.
pub type Launch = Box<dyn FnMut() -> Result<Tensor>>;
/// Makes the inputs on the device and gives what records one launch.
pub type Prepare = Box<dyn Fn(&Session) -> Result<Launch>>;
/// Seconds a launch; or why the device cannot run it.
pub type Measured = std::result::Result<Spread, String>;

/// Launches that a batch has at most: with some dispatches each they fit into one submission.
const MOST_LAUNCHES: usize = 64;
/// Bytes of outputs that are kept while the next launches run, so that these write elsewhere: more than a cache holds. The
/// last is kept in any case.
const KEPT_OUTPUTS: usize = 64 << 20;

/// The middle, the least and the greatest of some samples.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Spread {
    /// The middle one; of an even number the lower of the two.
    pub median: f64,
    /// The least.
    pub lowest: f64,
    /// The greatest.
    pub highest: f64,
}

impl Spread {
    /// Of samples; all zero if there are none.
    pub fn of(mut samples: Vec<f64>) -> Self {
        samples.sort_by(f64::total_cmp);
        let at = |place: usize| samples.get(place).copied().unwrap_or(0.0);
        let last = samples.len().saturating_sub(1);
        Self { median: at(last / 2), lowest: at(0), highest: at(last) }
    }

    /// Each of them times a factor above zero.
    pub fn times(self, factor: f64) -> Self {
        Self { median: self.median * factor, lowest: self.lowest * factor, highest: self.highest * factor }
    }

    /// As JSON.
    pub fn json(self) -> Value {
        json!({ "median": self.median, "lowest": self.lowest, "highest": self.highest })
    }
}

/// Times what is prepared and gives its memory back. A size that the device does not allow is no failure of the others.
///
/// # Errors
/// Anything else that goes wrong.
pub fn measure(session: &Session, prepare: &Prepare) -> crate::error::Result<Measured> {
    let time = || Effort::of(session).time(&session.device, &mut prepare(session)?);
    let measured = match time() {
        Ok(spread) => Ok(spread),
        Err(error @ (Error::Limit { .. } | Error::OutOfMemory(_))) => Err(error.to_string()),
        Err(error) => return Err(error.into()),
    };
    if let Some(gpu) = session.gpu() {
        gpu.trim()?;
    }
    Ok(measured)
}

/// How much time is spent on a figure.
#[derive(Clone, Copy, Debug)]
struct Effort {
    /// Seconds of launches that do not count.
    warm: f64,
    /// Seconds that a batch should take.
    batch: f64,
    /// Batches that count.
    repeats: usize,
}

impl Effort {
    /// What suits the device.
    fn of(session: &Session) -> Self {
        if session.is_processor() {
            Self { warm: 0.05, batch: 0.01, repeats: 3 }
        } else {
            Self { warm: 0.5, batch: 0.02, repeats: 15 }
        }
    }

    /// Seconds a launch.
    fn time(self, device: &Device, launch: &mut Launch) -> Result<Spread> {
        // The first launch compiles, and meanwhile the card slows down: the time to warm it begins after that.
        batch(device, launch, 1)?;
        let start = Instant::now();
        let mut launches = 1;
        loop {
            let seconds = batch(device, launch, launches)?;
            launches = ((self.batch / seconds.max(1e-9)).ceil() as usize).clamp(1, MOST_LAUNCHES);
            if start.elapsed().as_secs_f64() >= self.warm {
                break;
            }
        }
        let samples = (0..self.repeats).map(|_| batch(device, launch, launches));
        Ok(Spread::of(samples.collect::<Result<_>>()?))
    }
}

/// Seconds of one launch, the mean of some in a row.
fn batch(device: &Device, launch: &mut Launch, launches: usize) -> Result<f64> {
    let mut kept = VecDeque::new();
    let mut launch_all = || -> Result<()> {
        for _ in 0..launches {
            let output = launch()?;
            let most = KEPT_OUTPUTS / output.spec().bytes().max(1);
            kept.push_back(output);
            while kept.len() > most.max(1) {
                kept.pop_front();
            }
        }
        Ok(())
    };
    let seconds = match device {
        Device::Cpu(_) => {
            let start = Instant::now();
            launch_all()?;
            start.elapsed().as_secs_f64()
        }
        Device::Gpu(gpu) => {
            // What came before, uploads among it, does not count.
            gpu.take_timings()?;
            launch_all()?;
            gpu.take_timings()?.iter().map(|timing| timing.seconds).sum()
        }
    };
    Ok(seconds / launches as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_spread_is_of_sorted_samples() {
        let spread = Spread::of(vec![3.0, 1.0, 2.0]);
        assert_eq!(spread, Spread { median: 2.0, lowest: 1.0, highest: 3.0 });
        assert_eq!(spread.times(2.0), Spread { median: 4.0, lowest: 2.0, highest: 6.0 });
        assert_eq!(Spread::of(vec![4.0, 1.0]).median, 1.0);
        assert_eq!(Spread::of(Vec::new()).highest, 0.0);
    }

    #[test]
    fn every_launch_of_a_batch_runs() {
        let device = Device::cpu();
        let count = std::rc::Rc::new(std::cell::Cell::new(0));
        let (counted, on) = (count.clone(), device.clone());
        let mut launch: Launch = Box::new(move || {
            counted.set(counted.get() + 1);
            Tensor::new(&on, &[1], &[1f32])
        });
        assert!(batch(&device, &mut launch, 7).unwrap() > 0.0);
        assert_eq!(count.get(), 7);
    }
}
