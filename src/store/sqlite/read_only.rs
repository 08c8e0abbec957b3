//! Reading a database that need not be writable: a file of another user, in a folder of another user, or on a read-only mount.

use std::{
    fmt, fs,
    path::{Path, PathBuf},
    time::SystemTime,
};

use diesel::{Connection, SqliteConnection, connection::SimpleConnection};

use super::{
    classify::unusable,
    deadline::register_within_time,
    file_name::{LOG_SUFFIX, beside, file_name},
};
use crate::store::{StoreError, locks::while_locked};

/// SQLite's messages if it cannot make or write the files beside a database that it needs even for reading.
const NEEDS_TO_WRITE: [&str; 2] = [
    "unable to open database file",
    "attempt to write a readonly database",
];

/// As [`open_watched`], for a connection that lives too shortly to be watched.
///
/// # Errors
/// As [`open_watched`].
#[cfg(feature = "cli")]
pub(crate) fn open_read_only(path: &Path) -> Result<SqliteConnection, StoreError> {
    open_watched(path).map(|(conn, _)| conn)
}

/// Opens a file for reading, and never creates it. Its queries can call `within_time`. Waits as [`open`](super::open) does while another
/// program has locked the file.
///
/// A process that may not write beside a database in WAL mode can still read it if a program that writes has it open, or if all of its
/// content is in the file itself. In the second case the connection does not see when the file is written, and the file is given as well.
///
/// # Errors
/// The path is not UTF-8, the file cannot be opened or is not a database, it stays locked, or part of its content is in a log
/// that cannot be read.
pub(crate) fn open_watched(
    path: &Path,
) -> Result<(SqliteConnection, Option<FrozenFile>), StoreError> {
    // SQLite opens the file for reading only if this process may not write to it.
    match open_with(path, "mode=rw") {
        Err(StoreError::Use { source, .. }) if NEEDS_TO_WRITE.contains(&&*source.to_string()) => {
            let unfinished = [beside(path, LOG_SUFFIX), beside(path, "-journal")];
            match unfinished.into_iter().find(|file| has_content(file)) {
                Some(log) => Err(StoreError::UnreadableLog {
                    path: path.to_owned(),
                    log,
                }),
                None => {
                    let file = FrozenFile::of(path);
                    Ok((open_unlocked(path)?, Some(file)))
                }
            }
        }
        opened => opened.map(|conn| (conn, None)),
    }
}

/// A file that is read as it was when it was opened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct FrozenFile {
    path: PathBuf,
    bytes: u64,
    modified: Option<SystemTime>,
}

impl FrozenFile {
    fn of(path: &Path) -> Self {
        let data = fs::metadata(path).ok();
        Self {
            path: path.to_owned(),
            bytes: data.as_ref().map_or(0, fs::Metadata::len),
            modified: data.and_then(|data| data.modified().ok()),
        }
    }

    /// Whether the file was written since.
    #[cfg(feature = "serve")]
    pub(crate) fn has_changed(&self) -> bool {
        Self::of(&self.path) != *self
    }
}

impl fmt::Display for FrozenFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.path.display().fmt(f)
    }
}

/// Opens a file for reading as it is at this moment: without locks, without a look at its log, and without any other file. It
/// must not change meanwhile.
///
/// # Errors
/// The path is not UTF-8, the file cannot be opened, or it is not a database.
pub(crate) fn open_unlocked(path: &Path) -> Result<SqliteConnection, StoreError> {
    open_with(path, "mode=ro&immutable=1")
}

fn open_with(path: &Path, parameters: &str) -> Result<SqliteConnection, StoreError> {
    let url = format!("file:{}?{parameters}", escaped(&file_name(path)?));
    let mut conn = SqliteConnection::establish(&url).map_err(|source| StoreError::Open {
        path: path.to_owned(),
        source,
    })?;
    // Reading the schema shows whether this is a database that can be read.
    let pragmas =
        "PRAGMA busy_timeout = 1000; PRAGMA query_only = ON; SELECT count(*) FROM sqlite_schema";
    while_locked(|| conn.batch_execute(pragmas)).map_err(|error| unusable(path, error))?;
    register_within_time(&mut conn).map_err(|error| unusable(path, error))?;
    Ok(conn)
}

/// A file's name as a part of a URL. SQLite reads `%`, `?` and `#` as signs of its own.
fn escaped(name: &str) -> String {
    name.replace('%', "%25")
        .replace('?', "%3f")
        .replace('#', "%23")
}

fn has_content(file: &Path) -> bool {
    fs::metadata(file).is_ok_and(|data| data.len() > 0)
}
