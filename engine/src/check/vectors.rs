//! Reference vectors kept in the repository, for tests.

use std::path::Path;

use safetensors::{Dtype, SafeTensors};

/// A file of tensors, each as f64.
pub struct Vectors(Vec<(String, Vec<usize>, Vec<f64>)>);

impl Vectors {
    /// Reads a safetensors file of f32 and i64 tensors.
    ///
    /// # Panics
    /// If it is not one.
    pub fn new(bytes: &[u8]) -> Self {
        let file = SafeTensors::deserialize(bytes).unwrap();
        let read = |(name, view): (String, safetensors::tensor::TensorView)| {
            let data = match view.dtype() {
                Dtype::F32 => {
                    view.data().chunks(4).map(|word| f32::from_le_bytes(word.try_into().unwrap()).into()).collect()
                }
                Dtype::I64 => {
                    view.data().chunks(8).map(|word| i64::from_le_bytes(word.try_into().unwrap()) as f64).collect()
                }
                other => panic!("{name} is {other:?}"),
            };
            (name, view.shape().to_vec(), data)
        };
        Self(file.tensors().into_iter().map(read).collect())
    }

    /// The file at `path` below `tests/vectors`, `../shared/reference/vectors` beside the checkout, or
    /// `$GRADUS_REFERENCE/vectors`; `None`, with a printed line, where it is in none of them.
    pub fn open(path: &str) -> Option<Self> {
        let checkout = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
        let named = std::env::var_os("GRADUS_REFERENCE").map(|folder| Path::new(&folder).join("vectors"));
        let folders = [checkout.join("tests/vectors"), checkout.join("../shared/reference/vectors")];
        let mut candidates = folders.into_iter().chain(named).map(|folder| folder.join(path));
        let bytes = candidates.find_map(|file| std::fs::read(file).ok());
        if bytes.is_none() {
            println!("skipped: {path} is neither in tests/vectors nor below $GRADUS_REFERENCE");
        }
        bytes.map(|bytes| Self::new(&bytes))
    }

    /// A tensor's sizes and elements.
    ///
    /// # Panics
    /// If there is none of this name.
    pub fn get(&self, name: &str) -> (&[usize], &[f64]) {
        let (_, sizes, data) = self.0.iter().find(|(other, ..)| other == name).unwrap();
        (sizes, data)
    }
}

/// max|got − expected| / max|expected|; infinite if something is not a number or the lengths differ.
pub fn relative_error(got: &[f64], expected: &[f64]) -> f64 {
    if got.len() != expected.len() || got.iter().any(|x| x.is_nan()) {
        return f64::INFINITY;
    }
    let most = expected.iter().fold(0.0, |most: f64, x| most.max(x.abs()));
    got.iter().zip(expected).fold(0.0, |worst: f64, (a, b)| worst.max((a - b).abs())) / most
}
