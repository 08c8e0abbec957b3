//! The file of a database that this process makes. It goes again if no database comes of it, or nothing is stored in it.

use std::{
    fs::{self, OpenOptions},
    path::{Path, PathBuf},
};

use diesel::{
    Connection, QueryResult, RunQueryDsl, SqliteConnection,
    connection::SimpleConnection,
    dsl::{select, sql},
    sql_types::Bool,
};

use super::{look::look, owner::Owner};
use crate::store::sqlite::beside;

/// What SQLite may make beside a database.
const SUFFIXES: [&str; 3] = ["-journal", "-wal", "-shm"];

/// A file that this process has made, and no other.
pub(super) struct FreshFile(PathBuf);

/// Deletes the database when this is dropped, if nothing was stored in it by then. To be dropped after all connections.
pub(in crate::cli) struct DeletedIfUnused(FreshFile);

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
        if let Ok(Owner::Empty) = look(&self.0) {
            self.delete();
        }
    }

    /// The file has tables now, and yet it goes if nothing is stored in them.
    pub(super) fn delete_if_unused(self) -> DeletedIfUnused {
        DeletedIfUnused(self)
    }

    fn delete(&self) {
        for suffix in SUFFIXES {
            let _ = fs::remove_file(beside(&self.0, suffix));
        }
        let _ = fs::remove_file(&self.0);
    }

    /// Locks the database, if no run and no list was recorded in it and nobody else has it open.
    fn lock_if_unused(&self) -> Option<SqliteConnection> {
        // An absolute path is never read as a URI or as memory.
        let path = fs::canonicalize(&self.0).ok()?;
        let mut conn = SqliteConnection::establish(path.to_str()?).ok()?;
        let recorded = "EXISTS (SELECT 1 FROM runs) OR EXISTS (SELECT 1 FROM lists)";
        let is_used: QueryResult<bool> = select(sql::<Bool>(recorded)).get_result(&mut conn);
        if is_used.unwrap_or(true) {
            return None;
        }
        // Leaving WAL mode fails while somebody else has the file open.
        let lock = "PRAGMA locking_mode = EXCLUSIVE; PRAGMA journal_mode = DELETE; BEGIN EXCLUSIVE";
        conn.batch_execute(lock).ok()?;
        Some(conn)
    }
}

impl Drop for DeletedIfUnused {
    fn drop(&mut self) {
        if let Some(_locked) = self.0.lock_if_unused() {
            self.0.delete();
        }
    }
}
