//! Files of a folder and its folders, in an order that is the same everywhere.

use std::fs;
use std::path::{Path, PathBuf};

use crate::error::{Result, TrainerError};

/// A file found.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Found {
    /// Its path below the folder, with `/` between the parts.
    pub name: String,
    /// Where it is.
    pub path: PathBuf,
    /// Its length in bytes.
    pub length: u64,
}

/// All files under a folder, sorted by name. Names that begin with a dot are left out, and folders
/// behind symbolic links are not entered, since they may lead in a circle.
///
/// # Errors
/// If a folder or a file's length cannot be read.
pub fn files_under(folder: &Path) -> Result<Vec<Found>> {
    let mut found = Vec::new();
    enter(folder, "", &mut found)?;
    found.sort();
    Ok(found)
}

fn enter(folder: &Path, prefix: &str, found: &mut Vec<Found>) -> Result<()> {
    for entry in fs::read_dir(folder).map_err(TrainerError::io("read", folder))? {
        let entry = entry.map_err(TrainerError::io("read", folder))?;
        let path = entry.path();
        let part = entry.file_name();
        let part = part.to_string_lossy();
        if part.starts_with('.') {
            continue;
        }
        let name = if prefix.is_empty() { part.into_owned() } else { format!("{prefix}/{part}") };
        let kind = entry.file_type().map_err(TrainerError::io("read", &path))?;
        if kind.is_dir() {
            enter(&path, &name, found)?;
        } else {
            // A link is followed to a file; one that leads nowhere or to a folder is passed over.
            match fs::metadata(&path) {
                Ok(target) if target.is_file() => found.push(Found { name, path, length: target.len() }),
                Err(error) if !kind.is_symlink() => return Err(TrainerError::io("read", &path)(error)),
                _ => {}
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_come_sorted_and_hidden_ones_not_at_all() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        fs::create_dir_all(at("b/c")).unwrap();
        fs::create_dir_all(at(".git")).unwrap();
        for name in ["z.txt", "b/y.txt", "b/c/x.txt", "a.txt", ".hidden", ".git/config"] {
            fs::write(at(name), "1").unwrap();
        }
        let names = || files_under(folder.path()).unwrap().into_iter().map(|file| file.name).collect::<Vec<_>>();
        assert_eq!(names(), ["a.txt", "b/c/x.txt", "b/y.txt", "z.txt"]);
        #[cfg(unix)]
        {
            std::os::unix::fs::symlink(folder.path(), at("b/circle")).unwrap();
            std::os::unix::fs::symlink(at("nothing"), at("b/broken")).unwrap();
            std::os::unix::fs::symlink(at("a.txt"), at("b/link.txt")).unwrap();
            assert_eq!(names(), ["a.txt", "b/c/x.txt", "b/link.txt", "b/y.txt", "z.txt"]);
        }
    }
}
