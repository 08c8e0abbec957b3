//! Databases: how one is opened, how a transaction is run, and what an error means for the run. Knows no table.
//!
//! The engine writes through [`StoreConnection`] and names no database. [`sqlite`] implements it, and `postgres` with the feature of that
//! name.

mod pool;
pub mod sqlite;
#[cfg(feature = "postgres")]
pub mod postgres;
pub mod any;
pub(crate) mod silence;
pub(crate) mod message;
#[cfg(feature = "serve")]
pub mod readers;
#[cfg(feature = "cli")]
pub(crate) mod read_only;
pub(crate) mod locks;

use std::{
    ffi::OsStr,
    fmt::Display,
    panic::{AssertUnwindSafe, catch_unwind, resume_unwind},
    path::PathBuf,
    time::Duration,
};

use diesel::{ConnectionError, r2d2::ManageConnection, result::Error};
use thiserror::Error as ThisError;

/// A pool of connections to one database.
pub type Pool<C> = diesel::r2d2::Pool<<C as StoreConnection>::Manager>;

/// A connection from a pool. It goes back to the pool when it is dropped.
pub type PooledConnection<C> = diesel::r2d2::PooledConnection<<C as StoreConnection>::Manager>;

/// How long a busy database is waited for, beyond what a connection waits by itself.
pub(crate) const BUSY_WAIT_MAX: Duration = Duration::from_secs(60);

/// A connection to a database that outcomes are written to.
///
/// It need not be one of Diesel's: `examples/json_lines.rs` writes to a file of its own format. Storage runs every batch as
/// [`check`](Self::check), then [`write_transaction`](Self::write_transaction), and asks [`classify`](Self::classify) what to do about
/// an error. When one row is at fault, each row gets a transaction of its own, so no savepoint is needed.
///
/// After a panic of a sink, the transaction is undone. After a panic of the connection itself, it must not be used again, so its
/// manager's `has_broken` returns true while `std::thread::panicking()`. (The trait of managers is `hn_ingest::r2d2::ManageConnection`.)
pub trait StoreConnection: Sized + Send + 'static {
    /// Makes the connections of a pool, and tells whether one is still usable. Diesel's `ConnectionManager` for Diesel's connections.
    type Manager: ManageConnection<Connection = Self>;

    /// What goes wrong in a transaction. Diesel's `Error` for Diesel's connections.
    type Error: Display;

    /// Distinguishes the opened database from another one that has taken its place since.
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

    /// How long Storage waits for a database that is [busy](ErrorClass::Busy) before it takes it for lost. A minute by default.
    fn busy_wait_max(_identity: &Self::Identity) -> Duration {
        BUSY_WAIT_MAX
    }

    /// How long Storage waits for a call that does not return. Then it abandons the call and takes the database for lost. `None`, the
    /// default, waits for as long as it takes. A server may accept connections and never answer, while calls for a file return.
    fn silence_max(_identity: &Self::Identity) -> Option<Duration> {
        None
    }

    /// What messages call the database.
    fn name(_identity: &Self::Identity) -> String {
        "the database".to_owned()
    }

    /// Begins a transaction that may write from its first statement on.
    ///
    /// # Errors
    /// The error of the database. Then there is no transaction.
    fn begin_write(&mut self) -> Result<(), Self::Error>;

    /// Commits the transaction.
    ///
    /// # Errors
    /// The error of the database. Then nothing of the transaction is committed, and it is over.
    fn commit(&mut self) -> Result<(), Self::Error>;

    /// Undoes the transaction, and ends it.
    ///
    /// # Errors
    /// The error of the database, for example because it has undone the transaction by itself.
    fn roll_back(&mut self) -> Result<(), Self::Error>;

    /// What an error of [`write_transaction`](Self::write_transaction) means for the run.
    fn classify(&self, error: &Self::Error) -> ErrorClass;

    /// What it means for the run that the pool gave no connection.
    fn classify_checkout(_: &Self::Identity, _error: &diesel::r2d2::PoolError) -> ErrorClass {
        ErrorClass::Lost
    }

    /// Runs `work` in a transaction that may write from its first statement on. All of it commits, or nothing.
    ///
    /// # Errors
    /// The error of `work` itself, even if the rollback after it fails too; else the error of the begin or the commit.
    ///
    /// # Panics
    /// `work` does. The transaction is undone before.
    fn write_transaction<T, E: From<Self::Error>>(
        &mut self,
        work: impl FnOnce(&mut Self) -> Result<T, E>,
    ) -> Result<T, E> {
        self.begin_write()?;
        let done = catch_unwind(AssertUnwindSafe(|| work(self)));
        if let Ok(Ok(done)) = done {
            self.commit()?;
            return Ok(done);
        }
        // Some databases undo a failed transaction by themselves. Then this fails, and the cause is what matters.
        let _ = self.roll_back();
        done.unwrap_or_else(|panic| resume_unwind(panic))
    }
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
    /// A server gives no connection, or its database cannot be used.
    #[error("cannot use the database {place}: {why}")]
    Server {
        /// Its URL without the password.
        place: String,
        /// What is wrong, and the next step.
        why: String,
    },
    /// The pool has no connection to give, or the connection does not work.
    #[error("no connection to the database: {0}")]
    NoConnection(String),
}
