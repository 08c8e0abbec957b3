//! The folder for the database of one step. It does not outlive the program, however that ends.

use std::{
    env,
    fs::{self, File},
    io,
    path::PathBuf,
};

use tempfile::{Builder, TempDir};

use crate::cli::{exit::CommandError, signals::DeletedAtEnd};

const PREFIX: &str = "hn-ingest-tune-";

/// A file in the folder that is locked as long as the program lives.
const LOCK: &str = "lock";

/// Deleted when it is dropped, and when a signal ends the process.
pub(super) struct TemporaryFolder {
    folder: TempDir,
    _lock: File,
    /// Dropped last, so that there is no moment at which neither deletes the folder.
    _deleted_at_end: DeletedAtEnd,
}

impl TemporaryFolder {
    pub(super) fn new() -> Result<Self, CommandError> {
        Self::make().map_err(|error| {
            CommandError(format!(
                "no folder can be made for a temporary database: {error}; name another place with TMPDIR"
            ))
        })
    }

    fn make() -> io::Result<Self> {
        let folder = Builder::new().prefix(PREFIX).tempdir()?;
        let deleted_at_end = DeletedAtEnd::order(folder.path());
        let lock = File::create(folder.path().join(LOCK))?;
        lock.lock()?;
        Ok(Self {
            _deleted_at_end: deleted_at_end,
            _lock: lock,
            folder,
        })
    }

    pub(super) fn database(&self) -> PathBuf {
        self.folder.path().join("tune.db")
    }
}

/// Deletes folders of programs that were killed. What cannot be deleted stays.
pub(super) fn delete_abandoned() {
    let entries = fs::read_dir(env::temp_dir());
    for folder in entries.into_iter().flatten().flatten() {
        let is_ours = folder.file_name().to_string_lossy().starts_with(PREFIX);
        // The lock of a program that is gone is free.
        if is_ours && File::open(folder.path().join(LOCK)).is_ok_and(|lock| lock.try_lock().is_ok())
        {
            let _ = fs::remove_dir_all(folder.path());
        }
    }
}
