//! One file on one device in one type: tensors to compute with, and what the comparison of the results found.
//!
//! With a what was computed and b what is stored,
//!
//! - relmax = max |a − b| / max |b| over the tensor,
//! - rowrel = max over rows of max |a − b| / max(max |row of b|, max |b| / 100), rows along the last dimension.
//!
//! In f32 the manifest's `tol_cpu` and `tol_gpu` bound relmax. In f64 little more than the rounding of b to f32 is left.

use gradus_engine::definition::Array;
use gradus_engine::operation::{Context, Operation, run, run_backward};
use gradus_engine::tensor::Spec;
use gradus_engine::{DType, Device, Tensor, Var};

use super::file::{Vectors, same_sizes};
use crate::error::Result;

/// The relmax allowed in f64, where b's rounding to f32 is left: half a unit in the last place, 6e-8.
const F64_TOLERANCE: f64 = 1.2e-7;
/// An f64's rounding as a share of an f32's: what is lost by cancellation shrinks by it.
const F64_ROUNDING: f64 = f64::EPSILON / f32::EPSILON as f64;
/// The relmax allowed in f32 where the manifest says nothing: on the CPU, on a GPU.
const F32_TOLERANCE: [f64; 2] = [2e-5, 1e-4];

/// What rowrel may be in f32. In f64 it may be five times what relmax may be.
#[derive(Clone, Copy, Debug)]
pub enum Rows {
    /// Not looked at.
    Any,
    /// This many times what relmax may be.
    Times(f64),
    /// This, or what relmax may be if that is more.
    UpTo(f64),
}

/// One comparison.
#[derive(Clone, Debug)]
pub struct Measured {
    /// The tensor's name in the file.
    pub tensor: String,
    /// relmax, rowrel or relative.
    pub measure: &'static str,
    /// How it was computed, where there are several ways: the chunk size, for instance.
    pub way: String,
    /// The error.
    pub error: f64,
    /// What the error may be.
    pub allowed: f64,
}

impl Measured {
    /// Whether it is a failure.
    pub fn is_over(&self) -> bool {
        self.share() > 1.0
    }

    /// The error as a share of what is allowed: above 1 is a failure.
    pub fn share(&self) -> f64 {
        self.error / self.allowed
    }

    /// The tensor, the measure and the way.
    pub fn what(&self) -> String {
        let way = if self.way.is_empty() { String::new() } else { format!(", {}", self.way) };
        format!("{} {}{way}", self.tensor, self.measure)
    }
}

/// One file on one device in one type.
#[derive(Debug)]
pub struct Trial<'a> {
    /// The file.
    pub vectors: &'a Vectors,
    /// Where to compute.
    pub device: &'a Device,
    /// In which type.
    pub dtype: DType,
    /// What rowrel may be.
    pub rows: Rows,
    /// What was found.
    pub measured: Vec<Measured>,
}

impl<'a> Trial<'a> {
    /// An array on the device, in the type of the trial.
    ///
    /// # Errors
    /// More than five dimensions; an allocation that the device refuses.
    pub fn tensor(&self, array: &Array) -> Result<Tensor> {
        Ok(match self.dtype {
            DType::F64 => Tensor::new(self.device, &array.sizes, &array.data)?,
            _ => Tensor::new(self.device, &array.sizes, &array.data.iter().map(|&x| x as f32).collect::<Vec<_>>())?,
        })
    }

    /// Ones on the device.
    ///
    /// # Errors
    /// As [`Self::tensor`].
    pub fn ones(&self, sizes: &[usize]) -> Result<Tensor> {
        self.tensor(&Array { sizes: sizes.to_vec(), data: vec![1.0; sizes.iter().product()] })
    }

    /// An array on the device as a value that no gradient flows to.
    ///
    /// # Errors
    /// As [`Self::tensor`].
    pub fn constant(&self, array: &Array) -> Result<Var> {
        Ok(Var::constant(self.tensor(array)?))
    }

    /// Indices on the device, each below `limit`.
    ///
    /// # Errors
    /// A tensor that is missing or holds floats; an index out of range.
    pub fn indices(&self, name: &str, limit: usize) -> Result<Tensor> {
        let (sizes, values) = self.vectors.integers(name)?;
        let inside = |(place, &value): (usize, &i64)| {
            u32::try_from(value).ok().filter(|&index| (index as usize) < limit).ok_or_else(|| {
                self.vectors.problem(format!("tensor `{name}`: {value} at place {place} is outside 0..{limit}"))
            })
        };
        let indices = values.iter().enumerate().map(inside).collect::<Result<Vec<u32>>>()?;
        Ok(Tensor::new(self.device, sizes, &indices)?)
    }

    /// Compares a result with the stored tensor of this name, if the file has one: relmax, and rowrel where it counts.
    ///
    /// # Errors
    /// A stored tensor of integers or of other sizes.
    pub fn compare(&mut self, name: &str, way: &str, got: &Array) -> Result<()> {
        self.compare_to(name, way, got, self.tolerance(name))
    }

    /// [`Self::compare`] for a result that in f64, too, differs by more than rounding, by up to the manifest's tolerance.
    ///
    /// # Errors
    /// As [`Self::compare`].
    pub fn compare_loosely(&mut self, name: &str, way: &str, got: &Array) -> Result<()> {
        self.compare_to(name, way, got, self.stated(name))
    }

    fn compare_to(&mut self, name: &str, way: &str, got: &Array, allowed: f64) -> Result<()> {
        let Some(stored) = self.stored(name, got)? else { return Ok(()) };
        let (of_tensor, of_worst_row) = (relmax(got, stored), rowrel(got, stored));
        self.note(name, "relmax", way, of_tensor, allowed);
        let of_rows = match (self.rows, self.dtype) {
            (Rows::Any, _) => return Ok(()),
            (_, DType::F64) => 5.0 * allowed,
            (Rows::Times(times), _) => times * allowed,
            (Rows::UpTo(most), _) => allowed.max(most),
        };
        self.note(name, "rowrel", way, of_worst_row, of_rows);
        Ok(())
    }

    /// Compares each element by itself, for a function whose small values matter as much as its large ones.
    ///
    /// # Errors
    /// As [`Self::compare`].
    pub fn compare_elements(&mut self, name: &str, way: &str, got: &Array) -> Result<()> {
        let Some(stored) = self.stored(name, got)? else { return Ok(()) };
        // Some devices flush what is below 1.2e-38 to zero, which is no error here.
        const SMALLEST: f64 = 1e-32;
        let relative = |(a, b): (&f64, &f64)| (a - b).abs() / b.abs().max(SMALLEST);
        let error = got.data.iter().zip(&stored.data).map(relative).fold(0.0, larger);
        self.note(name, "relative", way, error, self.tolerance(name));
        Ok(())
    }

    /// The stored tensor of this name, which must have the sizes of what was computed.
    fn stored(&self, name: &str, got: &Array) -> Result<Option<&'a Array>> {
        let stored = self.vectors.optional(name)?;
        match stored.filter(|stored| !same_sizes(&stored.sizes, &got.sizes)) {
            None => Ok(stored),
            Some(other) => Err(self
                .vectors
                .problem(format!("tensor `{name}` has sizes {:?}, the inputs give {:?}", other.sizes, got.sizes))),
        }
    }

    fn note(&mut self, name: &str, measure: &'static str, way: &str, error: f64, allowed: f64) {
        let tensor = name.to_owned();
        self.measured.push(Measured { tensor, measure, way: way.to_owned(), error, allowed });
    }

    fn tolerance(&self, name: &str) -> f64 {
        let stated = self.stated(name);
        if self.dtype == DType::F64 { F64_TOLERANCE + F64_ROUNDING * stated } else { stated }
    }

    /// The manifest's tolerance for f32.
    fn stated(&self, name: &str) -> f64 {
        let entry = self.vectors.entry(name);
        let [cpu, gpu] = F32_TOLERANCE;
        if self.device.is_gpu() { entry.tol_gpu.unwrap_or(gpu) } else { entry.tol_cpu.unwrap_or(cpu) }
    }

    /// All outputs of an operation, the auxiliary ones too, and, if any output has an upstream gradient, the gradients of
    /// its inputs. The backward gets what the operation says that it saves, as on a tape.
    ///
    /// # Errors
    /// What the operation refuses or meets.
    pub fn evaluate(
        &self,
        operation: &dyn Operation,
        inputs: &[Tensor],
        d_outputs: &[Option<Tensor>],
    ) -> Result<(Vec<Array>, Vec<Option<Array>>)> {
        let outputs = run(operation, &inputs.iter().collect::<Vec<_>>())?;
        let saves = operation.saves();
        let keep = |tensors: &[Tensor], places: &[usize]| -> Vec<Option<Tensor>> {
            tensors.iter().enumerate().map(|(at, tensor)| places.contains(&at).then(|| tensor.clone())).collect()
        };
        let specs: Vec<Spec> = inputs.iter().map(Tensor::spec).collect();
        let context = Context {
            operation: operation.name(),
            input_specs: &specs,
            inputs: &keep(inputs, saves.inputs),
            outputs: &keep(&outputs, saves.outputs),
            d_outputs,
            needs: &vec![true; inputs.len()],
        };
        let gradients = run_backward(operation, &context)?;
        let gradients = gradients.iter().map(|tensor| tensor.as_ref().map(read).transpose());
        Ok((outputs.iter().map(read).collect::<Result<_>>()?, gradients.collect::<Result<_>>()?))
    }
}

/// A tensor's elements.
///
/// # Errors
/// A fault of the device.
pub fn read(tensor: &Tensor) -> Result<Array> {
    Ok(Array { sizes: tensor.sizes().to_vec(), data: tensor.to_f64()? })
}

/// The larger of two errors, where one that is not a number is the largest.
fn larger(a: f64, b: f64) -> f64 {
    if b.is_nan() { f64::INFINITY } else { a.max(b) }
}

fn most(values: &[f64]) -> f64 {
    values.iter().fold(0.0, |most, x| most.max(x.abs()))
}

fn farthest(got: &[f64], stored: &[f64]) -> f64 {
    got.iter().zip(stored).map(|(a, b)| (a - b).abs()).fold(0.0, larger)
}

/// What errors are measured by. If all that is stored is 0, the error itself counts.
fn scale(stored: &[f64]) -> f64 {
    let most = most(stored);
    if most > 0.0 { most } else { 1.0 }
}

fn relmax(got: &Array, stored: &Array) -> f64 {
    farthest(&got.data, &stored.data) / scale(&stored.data)
}

fn rowrel(got: &Array, stored: &Array) -> f64 {
    let floor = scale(&stored.data) / 100.0;
    let width = stored.last().max(1);
    let rows = got.data.chunks(width).zip(stored.data.chunks(width));
    rows.map(|(got, stored)| farthest(got, stored) / most(stored).max(floor)).fold(0.0, larger)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_are_measured_by_the_largest_or_by_rows() {
        let stored = Array::new(&[2, 2], vec![100.0, 0.0, 2.0, -1.0]);
        let got = Array::new(&[2, 2], vec![100.0, 0.0, 2.5, -1.0]);
        assert_eq!((relmax(&got, &stored), rowrel(&got, &stored)), (0.005, 0.25));
        // A row of small numbers is measured by a hundredth of the largest.
        let small = Array::new(&[2, 2], vec![100.0, 0.0, 0.25, 0.0]);
        let got = Array::new(&[2, 2], vec![100.0, 0.0, 0.5, 0.0]);
        assert_eq!(rowrel(&got, &small), 0.25);
    }

    #[test]
    fn zeros_are_measured_absolutely_and_nan_is_never_right() {
        let zeros = Array::new(&[2], vec![0.0; 2]);
        assert_eq!(relmax(&Array::new(&[2], vec![0.5, 0.0]), &zeros), 0.5);
        let nan = Array::new(&[2], vec![f64::NAN, 0.0]);
        assert_eq!((relmax(&nan, &zeros), rowrel(&nan, &zeros)), (f64::INFINITY, f64::INFINITY));
    }
}
