//! The weights of a folder one by one, checked, for whoever builds a model of them.

use std::collections::HashMap;
use std::path::Path;

use gradus_engine::Tensor;
use half::f16;
use rayon::prelude::*;

use super::convert::{PIECE, widen};
use super::shards::Shards;
use super::sources::{Source, Sources};
use super::{configured, listed};
use crate::configuration::ModelConfiguration;
use crate::parameters::{self, Parameter};
use crate::{Error, Result};

/// So many bytes may wait in host memory until the device has fetched them.
const WAITING: usize = 64 << 20;

/// The weights of a folder by name, all of the shapes that its configuration says.
pub(crate) struct Weights<'a> {
    found: HashMap<String, Source<'a>>,
    waiting: usize,
}

/// Opens a folder, checks its tensors, and gives its configuration and weights to `build`.
///
/// # Errors
/// Files that are missing, truncated or malformed; tensors that are missing, too many, or of another shape or type, all by
/// name; and those of `build`.
pub(crate) fn with_weights<T>(
    folder: &Path,
    build: impl FnOnce(ModelConfiguration, Weights) -> Result<T>,
) -> Result<T> {
    let shards = Shards::open(folder)?;
    let tensors = shards.tensors()?;
    let sources = Sources::new(&tensors);
    let configuration = configured(folder, &shards, &sources, tensors.len())?;
    let parameters = parameters::list(&configuration);
    let found = sources
        .find(&configuration, &parameters)
        .map_err(|problems| Error::content(&shards.place, listed(problems)))?;
    let found = parameters.into_iter().map(|parameter| parameter.name).zip(found).collect();
    build(configuration, Weights { found, waiting: 0 })
}

impl<'a> Weights<'a> {
    pub(super) fn source(&self, parameter: &Parameter) -> Result<Source<'a>> {
        let name = &parameter.name;
        self.found.get(name).copied().ok_or_else(|| Error::Request(format!("tensor `{name}` is missing")))
    }

    /// A weight as f32.
    pub(crate) fn values(&self, parameter: &Parameter) -> Result<Vec<f32>> {
        let source = self.source(parameter)?;
        let mut values = vec![0f32; parameter.sizes.iter().product()];
        widen(source.dtype, source.data, &mut values);
        Ok(values)
    }

    /// Writes a weight, rounded to f16, into a tensor from `first` on: piece by piece, straight from the mapped file.
    pub(crate) fn write_half(&mut self, parameter: &Parameter, tensor: &mut Tensor, first: usize) -> Result<()> {
        let source = self.source(parameter)?;
        let width = source.dtype.bitsize() / 8;
        let mut values = vec![0f32; PIECE.min(parameter.sizes.iter().product())];
        let mut written = 0;
        for piece in source.data.chunks(PIECE * width) {
            let values = &mut values[..piece.len() / width];
            widen(source.dtype, piece, values);
            tensor.write(first + written, &halves(&parameter.name, values)?)?;
            written += values.len();
            self.waiting += 2 * values.len();
            if self.waiting > WAITING {
                tensor.device().synchronize()?;
                self.waiting = 0;
            }
        }
        Ok(())
    }
}

/// Values rounded to f16.
///
/// # Errors
/// A finite value that would become infinite, with the name of its weight.
pub(crate) fn halves(name: &str, values: &[f32]) -> Result<Vec<f16>> {
    let halves: Vec<f16> = values.par_iter().map(|value| f16::from_f32(*value)).collect();
    let lost = values.par_iter().zip(&halves).find_any(|(value, half)| value.is_finite() && !half.is_finite());
    match lost {
        Some((value, _)) => {
            Err(Error::Request(format!("tensor `{name}` has {value}, and f16 ends at {}; take f32", f16::MAX)))
        }
        None => Ok(halves),
    }
}
