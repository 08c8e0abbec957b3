//! The file of a database that this process makes. It goes again if no database comes of it.

use std::{
    fs::{self, OpenOptions},
    path::{Path, PathBuf},
};

use super::{look::look, owner::Owner};
use crate::store::sqlite::beside;

/// What SQLite may make beside a database.
const SUFFIXES: [&str; 3] = ["-journal", "-wal", "-shm"];

/// A file that this process has made, and no other.
pub(super) struct FreshFile(PathBuf);

impl FreshFile {
    /// Makes the file as SQLite would. `None` if it exists, or cannot be made, which SQLite then says better.
    pub(super) fn make(path: &Path) -> Option<Self> {
        let mut options = OpenOptions::new();
        options.write(true).create_new(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o644);
        options.open(path).ok().map(|_| Self(path.to_owned()))
    }

    /// Deletes the file, unless there is a table in it.
    pub(super) fn delete_if_empty(self) {
        if let Ok(Owner::Nobody) = look(&self.0) {
            for suffix in SUFFIXES {
                let _ = fs::remove_file(beside(&self.0, suffix));
            }
            let _ = fs::remove_file(&self.0);
        }
    }
}
