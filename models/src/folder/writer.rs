//! A safetensors file written piece by piece, so that it is never in memory as a whole.

use std::fs;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use serde_json::{Map, Value, json};

use super::convert::Stored;
use crate::{Error, Result};

/// A tensor that a file is to hold.
#[derive(Debug, Clone, PartialEq)]
pub struct Declared {
    /// Its name.
    pub name: String,
    /// Its sizes.
    pub sizes: Vec<usize>,
    /// The type of its elements in the file.
    pub stored: Stored,
}

impl Declared {
    /// Bytes of its data.
    pub fn bytes(&self) -> u64 {
        self.sizes.iter().map(|size| *size as u64).product::<u64>() * self.stored.width()
    }
}

/// A file being written. It has another name until [`Writer::finish`].
pub struct Writer {
    path: PathBuf,
    partial: PathBuf,
    file: BufWriter<fs::File>,
    declared: Vec<Declared>,
    /// Which tensor is being written, and how many of its values are.
    at: (usize, usize),
}

impl Writer {
    /// Begins a file that will hold these tensors, in this order.
    ///
    /// # Errors
    /// A file that cannot be written; two tensors of one name.
    pub fn create(path: &Path, declared: Vec<Declared>) -> Result<Self> {
        let mut header = Map::new();
        // Without it older versions of transformers do not open the file.
        header.insert("__metadata__".into(), json!({"format": "pt"}));
        let mut begin = 0;
        for tensor in &declared {
            let end = begin + tensor.bytes();
            let entry = json!({
                "dtype": tensor.stored.safetensors_name(), "shape": tensor.sizes, "data_offsets": [begin, end],
            });
            if header.insert(tensor.name.clone(), entry).is_some() {
                return Err(Error::Request(format!("two tensors have the name `{}`", tensor.name)));
            }
            begin = end;
        }
        let mut header = Value::Object(header).to_string();
        // The data begin at a multiple of 8.
        header.push_str(&" ".repeat(header.len().next_multiple_of(8) - header.len()));
        let mut partial = path.as_os_str().to_owned();
        partial.push(".partial");
        let partial = PathBuf::from(partial);
        let file = fs::File::create(&partial).map_err(Error::file(&partial))?;
        let mut file = BufWriter::with_capacity(1 << 20, file);
        let begun =
            file.write_all(&(header.len() as u64).to_le_bytes()).and_then(|()| file.write_all(header.as_bytes()));
        begun.map_err(Error::file(&partial))?;
        Ok(Self { path: path.to_owned(), partial, file, declared, at: (0, 0) })
    }

    /// Appends values of the tensor that is next to be filled; a piece never reaches into the one behind it.
    ///
    /// # Errors
    /// A disk that is full; more values than were declared; values too large for the tensor's type.
    pub fn push(&mut self, values: &[f32]) -> Result<()> {
        while self
            .declared
            .get(self.at.0)
            .is_some_and(|tensor| self.at.1 as u64 * tensor.stored.width() == tensor.bytes())
        {
            self.at = (self.at.0 + 1, 0);
        }
        let Some(tensor) = self.declared.get(self.at.0) else {
            return if values.is_empty() {
                Ok(())
            } else {
                Err(Error::Request("more values than the file was begun for".into()))
            };
        };
        let left = tensor.bytes() / tensor.stored.width() - self.at.1 as u64;
        if values.len() as u64 > left {
            let message = format!("`{}` has room for {left} values, {} were given", tensor.name, values.len());
            return Err(Error::Request(message));
        }
        let bytes = tensor.stored.narrow(values).ok_or_else(|| {
            Error::Request(format!("`{}` holds values too large for {}; store f32", tensor.name, tensor.stored.name()))
        })?;
        self.at.1 += values.len();
        self.file.write_all(&bytes).map_err(Error::file(&self.partial))
    }

    /// Gives the whole file its name.
    ///
    /// # Errors
    /// Values that were never given; a disk that is full.
    pub fn finish(mut self) -> Result<()> {
        self.push(&[])?;
        if let Some(tensor) = self.declared.get(self.at.0) {
            return Err(Error::Request(format!("`{}` was not written whole", tensor.name)));
        }
        self.file.flush().map_err(Error::file(&self.partial))?;
        self.file.get_ref().sync_all().map_err(Error::file(&self.partial))?;
        fs::rename(&self.partial, &self.path).map_err(Error::file(&self.path))
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        // Gone already where all went well; otherwise half a file is of no use.
        let _ = fs::remove_file(&self.partial);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::folder::file::File;

    #[test]
    fn what_is_written_in_pieces_is_read_whole() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.safetensors");
        let declared =
            |name: &str, sizes: &[usize], stored| Declared { name: name.into(), sizes: sizes.to_vec(), stored };
        let mut writer = Writer::create(
            &path,
            vec![
                declared("b", &[2, 2], Stored::F32),
                declared("empty", &[0], Stored::F32),
                declared("a", &[2], Stored::Bf16),
            ],
        )
        .unwrap();
        writer.push(&[1.0, 2.0, 3.0]).unwrap();
        assert!(writer.push(&[4.0, 5.0]).unwrap_err().to_string().contains("`b` has room for 1"));
        writer.push(&[4.0]).unwrap();
        writer.push(&[0.5, -1.0]).unwrap();
        assert!(!path.exists(), "half a file has no name");
        writer.finish().unwrap();
        let file = File::open(&path).unwrap();
        let tensors = file.tensors().unwrap();
        assert_eq!(tensors["b"].data(), [1f32, 2.0, 3.0, 4.0].map(f32::to_le_bytes).concat());
        assert_eq!((tensors["a"].shape(), tensors["a"].data()), (&[2][..], &[0, 0x3f, 0x80, 0xbf][..]));
    }

    #[test]
    fn half_a_file_goes_away() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.safetensors");
        let declared = Declared { name: "a".into(), sizes: vec![2], stored: Stored::F16 };
        let mut writer = Writer::create(&path, vec![declared]).unwrap();
        assert!(writer.push(&[1e9]).unwrap_err().to_string().contains("`a` holds values too large for float16"));
        assert!(writer.finish().unwrap_err().to_string().contains("`a` was not written whole"));
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
    }
}
