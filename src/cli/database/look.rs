//! A look at a file before it is opened as a database: whose it is, found out without opening anything for writing.
//!
//! SQLite itself writes to a file, or makes files beside it, when it opens one in WAL mode or after a crash. So another program's
//! file is recognised here, and left untouched.

use std::{
    fmt::Display,
    fs::{self, File, Metadata},
    io::{self, ErrorKind, Read},
    ops::Range,
    path::Path,
};

use super::{mark::Mark, owner::Owner};
use crate::{
    cli::{exit::CommandError, signals::DeletedAtEnd},
    store::{
        any::AnyConnection,
        sqlite::{LOG_SUFFIX, beside, open_read_only, open_unlocked},
    },
};

/// The first bytes of every SQLite file, and where the `application_id` is among them (SQLite's file format, section 1.3).
const MAGIC: &[u8] = b"SQLite format 3\0";
const APPLICATION_ID: Range<usize> = 68..72;
const HEADER: usize = 100;

/// Whose the file is, as a database. A file that is not there or is empty counts as an empty database.
///
/// # Errors
/// The file is no database, cannot be read, or belongs to another program.
pub(super) fn look(path: &Path) -> Result<Owner, CommandError> {
    let Some(data) = metadata(path)? else {
        return Ok(Owner::Empty);
    };
    if !data.is_file() {
        return Err(cannot_open(path, "it is no file"));
    }
    if data.len() == 0 {
        return Ok(Owner::Empty);
    }
    let header = read_header(path).map_err(|error| cannot_open(path, error))?;
    let Some(header) = header.filter(|header| header.starts_with(MAGIC)) else {
        return Err(CommandError(format!(
            "cannot use the database {}: file is not a database; name another file, or move this one away",
            path.display()
        )));
    };
    let mut id = [0; 4];
    id.copy_from_slice(&header[APPLICATION_ID]);
    let owner = match Owner::of_mark(Mark::of_application_id(i32::from_be_bytes(id))) {
        Some(owner) => owner,
        None => owner_by_content(path)?,
    };
    owner
        .refuse_other()
        .map_err(|CommandError(why)| CommandError(format!("{}: {why}", path.display())))
}

/// `None` if there is no such file.
fn metadata(path: &Path) -> Result<Option<Metadata>, CommandError> {
    match fs::metadata(path) {
        Ok(data) => Ok(Some(data)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(cannot_open(path, error)),
    }
}

fn cannot_open(path: &Path, why: impl Display) -> CommandError {
    CommandError(format!(
        "cannot open the database {}: {why}; name a file in a folder that you may write to",
        path.display()
    ))
}

/// The first bytes of a file. `None` if it is too short for a database.
fn read_header(path: &Path) -> io::Result<Option<[u8; HEADER]>> {
    let mut header = [0; HEADER];
    match File::open(path)?.read_exact(&mut header) {
        Ok(()) => Ok(Some(header)),
        Err(error) if error.kind() == ErrorKind::UnexpectedEof => Ok(None),
        Err(error) => Err(error),
    }
}

/// Whose an unmarked database is.
fn owner_by_content(path: &Path) -> Result<Owner, CommandError> {
    let owner = read_owner(path)?;
    let log = beside(path, LOG_SUFFIX);
    let has_log = fs::metadata(&log).is_ok_and(|data| data.len() > 0);
    if owner != Owner::Empty || !has_log {
        return Ok(owner);
    }
    // All of its tables are still in the log, which SQLite cannot read without writing. So it reads a copy; what others write to
    // the log meanwhile has no valid checksum in it. The file itself is small, since it has no table.
    let copied = tempfile::tempdir().and_then(|folder| {
        let deleted_at_end = DeletedAtEnd::order(folder.path());
        let copy = folder.path().join("copy.db");
        fs::copy(path, &copy)?;
        fs::copy(&log, beside(&copy, LOG_SUFFIX))?;
        Ok((deleted_at_end, folder, copy))
    });
    // The folder is dropped before the order to delete it, so that there is no moment at which neither deletes it.
    let (_deleted_at_end, _folder, copy) = copied.map_err(|error| {
        CommandError(format!(
            "{}: it cannot be found out which program the database belongs to: {error}; name another place for temporary files with TMPDIR",
            path.display()
        ))
    })?;
    let conn = open_read_only(&copy).map_err(CommandError::new)?;
    Owner::read(&mut AnyConnection::Sqlite(conn))
}

fn read_owner(path: &Path) -> Result<Owner, CommandError> {
    let conn = open_unlocked(path).map_err(CommandError::new)?;
    Owner::read(&mut AnyConnection::Sqlite(conn))
}
