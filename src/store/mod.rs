//! Databases: how one is opened, how a transaction is run, and what an error means for the run. Knows no table.
//!
//! The engine writes through [`StoreConnection`] and names no database. [`sqlite`] implements it.

pub mod sqlite;

use std::{ffi::OsStr, path::PathBuf, time::Duration};

use diesel::{
    ConnectionError, QueryResult,
    r2d2::{ConnectionManager, R2D2Connection},
    result::Error,
};
use thiserror::Error as ThisError;

/// A pool of connections to one database.
pub type Pool<C> = diesel::r2d2::Pool<ConnectionManager<C>>;

/// How long a busy database is waited for, beyond what a connection waits by itself.
pub(crate) const BUSY_WAIT_MAX: Duration = Duration::from_secs(60);

/// A connection to a database that outcomes are written to.
///
/// Storage runs every batch as [`check`](Self::check), then [`write_transaction`](Self::write_transaction), and asks
/// [`classify`](Self::classify) what to do about an error. When one row is at fault, each row gets a transaction of its own, so
/// no savepoint is needed.
pub trait StoreConnection: R2D2Connection + 'static {
    /// What tells the opened database from another one that has taken its place since.
    type Identity: Send + Sync + 'static;

    /// Opens a pool. What a `location` is (a path, a URL), the database decides.
    ///
    /// # Errors
    /// The database cannot be opened, or cannot be written.
    fn open(location: &OsStr) -> Result<Pool<Self>, StoreError>;

    /// Which database this connection has open.
    ///
    /// # Errors
    /// The database does not say.
    fn identify(&mut self) -> Result<Self::Identity, StoreError>;

    /// Called before each commit: whether the database that was opened is still in its place.
    ///
    /// # Errors
    /// What happened to it, for a person to read. The run then ends: a commit would be lost.
    fn check(identity: &Self::Identity) -> Result<(), String>;

    /// Runs `work` in a transaction that may write from its first statement on. All of it commits, or nothing.
    ///
    /// # Errors
    /// The error of `work` itself, even if the rollback after it fails too; else the error of the begin or the commit.
    fn write_transaction(
        &mut self,
        work: impl FnOnce(&mut Self) -> QueryResult<()>,
    ) -> QueryResult<()>;

    /// What an error of [`write_transaction`](Self::write_transaction) means for the run.
    fn classify(error: &Error) -> ErrorClass;
}

/// What an error of a transaction means for the run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ErrorClass {
    /// Another transaction is in the way. The same transaction may commit when it is tried again.
    Busy,
    /// One of the rows is at fault. The others may commit without it.
    Row,
    /// The database itself is at fault. Nothing more can be committed.
    Lost,
}

/// Why a database cannot be used.
#[derive(Debug, ThisError)]
#[non_exhaustive]
pub enum StoreError {
    /// The path is not UTF-8. SQLite would open a file of another name.
    #[error(
        "cannot open the database {path:?}: its path is not UTF-8, and SQLite takes no other; name another file"
    )]
    NotUtf8 {
        /// The path.
        path: PathBuf,
    },
    /// The file cannot be opened or created.
    #[error(
        "cannot open the database {path}: {source}; name a file in a folder that you may write to"
    )]
    Open {
        /// The file.
        path: PathBuf,
        /// What the database says.
        source: ConnectionError,
    },
    /// The file was opened, but is not a database that can be written.
    #[error("cannot use the database {path}: {source}; name another file, or move this one away")]
    Use {
        /// The file.
        path: PathBuf,
        /// What the database says.
        source: Error,
    },
    /// Another program has locked the file for longer than it is waited for.
    #[error(
        "cannot use the database {path}: {source}; end the program that has locked it, or name another file"
    )]
    Locked {
        /// The file.
        path: PathBuf,
        /// What the database says.
        source: Error,
    },
    /// The file's log holds rows, and can only be read by a program that may write beside the file.
    #[error(
        "cannot read the database {path}: {log} beside it holds rows that can only be read together with a file that cannot be made there; let its owner run a command on it, or copy both files to a folder that you may write to"
    )]
    UnreadableLog {
        /// The file.
        path: PathBuf,
        /// The log.
        log: PathBuf,
    },
    /// The pool has no connection to give, or the connection does not work.
    #[error("no connection to the database: {0}")]
    NoConnection(String),
}
