//! The operations on the disk that a checkpoint depends on, so that tests can make each fail.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::Path;

/// What saving needs of a file system.
pub trait Storage {
    /// Makes a folder and those above it.
    ///
    /// # Errors
    /// The system's.
    fn create_folder(&self, path: &Path) -> io::Result<()>;

    /// Makes a file, or empties the one that is there.
    ///
    /// # Errors
    /// The system's.
    fn create(&self, path: &Path) -> io::Result<Box<dyn Write>>;

    /// Returns when a file's bytes, or a folder's entries, are on the disk.
    ///
    /// # Errors
    /// The system's.
    fn sync(&self, path: &Path) -> io::Result<()>;

    /// Renames a file over another or a folder to a new name, as one event.
    ///
    /// # Errors
    /// The system's.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;
}

/// The real file system.
#[derive(Clone, Copy, Debug, Default)]
pub struct Disk;

impl Storage for Disk {
    fn create_folder(&self, path: &Path) -> io::Result<()> {
        fs::create_dir_all(path)
    }

    fn create(&self, path: &Path) -> io::Result<Box<dyn Write>> {
        Ok(Box::new(File::create(path)?))
    }

    fn sync(&self, path: &Path) -> io::Result<()> {
        if path.is_dir() {
            return sync_folder(path);
        }
        // Windows syncs only what is open for writing.
        File::options().write(true).open(path)?.sync_all()
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::rename(from, to)
    }
}

#[cfg(unix)]
fn sync_folder(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()
}

/// Elsewhere a folder cannot be opened as a file; the system orders renames itself.
#[cfg(not(unix))]
fn sync_folder(_path: &Path) -> io::Result<()> {
    Ok(())
}

/// Writes a small file beside its place, syncs it and renames it there, so that a reader sees the
/// old or the new one and never half of one.
///
/// # Errors
/// The system's; the old file is then still there.
pub fn replace(storage: &dyn Storage, path: &Path, bytes: &[u8]) -> io::Result<()> {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let beside = path.with_file_name(format!(".tmp-{name}"));
    let written = storage
        .create(&beside)
        .and_then(|mut file| file.write_all(bytes))
        .and_then(|()| storage.sync(&beside))
        .and_then(|()| storage.rename(&beside, path));
    if written.is_err() {
        // The error that counts is the one above; a left-over file is removed by the next save.
        let _ = fs::remove_file(&beside);
    }
    written?;
    // The folder of a bare name is the current one.
    let here = |parent: &Path| parent.as_os_str().is_empty();
    path.parent().map_or(Ok(()), |parent| storage.sync(if here(parent) { Path::new(".") } else { parent }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_without_a_folder_is_in_the_current_one() {
        let name = Path::new("replaced-by-a-test.tmp");
        let replaced = replace(&Disk, name, b"text");
        let read = fs::read(name);
        let _ = fs::remove_file(name);
        replaced.unwrap();
        assert_eq!(read.unwrap(), b"text");
    }
}
