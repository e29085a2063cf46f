//! Reads the reference vectors (safetensors, float32) that the tests compare with.

use std::path::Path;

/// One file of named tensors.
pub(crate) struct Vectors {
    header: String,
    data: Vec<u8>,
}

impl Vectors {
    /// The file at `path` below `tests/vectors`, `$GRADUS_REFERENCE/vectors`, or `../shared/reference/vectors` beside the
    /// checkout; `None`, with a printed line, where it is in none of them.
    pub(crate) fn open(path: &str) -> Option<Self> {
        let checkout = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
        let named = std::env::var_os("GRADUS_REFERENCE").map(|folder| Path::new(&folder).join("vectors"));
        let folders = [checkout.join("tests/vectors"), checkout.join("../shared/reference/vectors")];
        let mut candidates = folders.into_iter().chain(named).map(|folder| folder.join(path));
        let Some(bytes) = candidates.find_map(|file| std::fs::read(file).ok()) else {
            println!("skipped: {path} is neither in tests/vectors nor below $GRADUS_REFERENCE");
            return None;
        };
        let length = u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize;
        let header = String::from_utf8(bytes[8..8 + length].to_vec()).unwrap().replace([' ', '\n'], "");
        Some(Self { header, data: bytes[8 + length..].to_vec() })
    }

    /// Sizes and elements of a tensor.
    pub(crate) fn tensor(&self, name: &str) -> (Vec<usize>, Vec<f64>) {
        let entry = self.header.split(&format!("\"{name}\":{{")).nth(1).unwrap_or_else(|| panic!("no tensor {name}"));
        let entry = entry.split('}').next().unwrap();
        assert!(entry.contains("\"F32\""), "{name} is not float32");
        let list = |key: &str| -> Vec<usize> {
            let numbers = entry.split(&format!("\"{key}\":[")).nth(1).unwrap().split(']').next().unwrap();
            numbers.split(',').map(|number| number.parse().unwrap()).collect()
        };
        let (sizes, range) = (list("shape"), list("data_offsets"));
        let words = self.data[range[0]..range[1]].chunks_exact(4);
        let data: Vec<f64> = words.map(|word| f64::from(f32::from_le_bytes(word.try_into().unwrap()))).collect();
        assert_eq!(sizes.iter().product::<usize>(), data.len());
        (sizes, data)
    }
}
