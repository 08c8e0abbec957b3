//! A connection to whichever database its location names, for programs whose users choose the database.

use std::{ffi::OsStr, path::Path};

use diesel::{
    QueryResult, SqliteConnection,
    r2d2::{ConnectionManager, Error as ManagerError, ManageConnection, PoolError},
    result::Error,
};

use super::{
    ErrorClass, Pool, StoreConnection, StoreError,
    sqlite::{FileIdentity, pool_builder, prepare_file, set_pragmas},
};

/// A pool of connections to whichever database its location names.
pub type AnyPool = Pool<AnyConnection>;

/// A connection to one of the databases that this crate knows.
#[allow(missing_debug_implementations)]
#[non_exhaustive]
pub enum AnyConnection {
    /// To an SQLite file.
    Sqlite(SqliteConnection),
}

impl AnyConnection {
    /// Makes what was committed survive a power cut, as far as it does not already.
    #[cfg(feature = "cli")]
    pub(crate) fn checkpoint(&mut self) -> QueryResult<()> {
        use diesel::connection::SimpleConnection;
        match self {
            Self::Sqlite(conn) => conn.batch_execute("PRAGMA wal_checkpoint(PASSIVE)"),
        }
    }
}

/// Makes the connections of an [`AnyPool`].
#[derive(Debug)]
#[non_exhaustive]
pub enum AnyManager {
    /// To an SQLite file.
    Sqlite(ConnectionManager<SqliteConnection>),
}

/// What tells the opened database from another one that has taken its place since.
#[derive(Debug)]
#[non_exhaustive]
pub enum AnyIdentity {
    /// Of an SQLite file. `None` for a database that is in no file.
    Sqlite(Option<FileIdentity>),
}

impl StoreConnection for AnyConnection {
    type Manager = AnyManager;
    type Error = Error;
    type Identity = AnyIdentity;

    fn open(location: &OsStr) -> Result<AnyPool, StoreError> {
        let name = prepare_file(Path::new(location))?;
        pool_builder()
            .build(AnyManager::Sqlite(ConnectionManager::new(name)))
            .map_err(|error| StoreError::NoConnection(error.to_string()))
    }

    fn identify(&mut self) -> Result<AnyIdentity, StoreError> {
        match self {
            Self::Sqlite(conn) => conn.identify().map(AnyIdentity::Sqlite),
        }
    }

    fn check(identity: &AnyIdentity) -> Result<(), String> {
        match identity {
            AnyIdentity::Sqlite(file) => SqliteConnection::check(file),
        }
    }

    fn begin_write(&mut self) -> QueryResult<()> {
        match self {
            Self::Sqlite(conn) => conn.begin_write(),
        }
    }

    fn commit(&mut self) -> QueryResult<()> {
        match self {
            Self::Sqlite(conn) => conn.commit(),
        }
    }

    fn roll_back(&mut self) -> QueryResult<()> {
        match self {
            Self::Sqlite(conn) => conn.roll_back(),
        }
    }

    fn classify(&self, error: &Error) -> ErrorClass {
        match self {
            Self::Sqlite(conn) => conn.classify(error),
        }
    }

    fn classify_checkout(error: &PoolError) -> ErrorClass {
        SqliteConnection::classify_checkout(error)
    }
}

impl ManageConnection for AnyManager {
    type Connection = AnyConnection;
    type Error = ManagerError;

    fn connect(&self) -> Result<AnyConnection, ManagerError> {
        match self {
            Self::Sqlite(manager) => {
                let mut conn = manager.connect()?;
                set_pragmas(&mut conn).map_err(ManagerError::QueryError)?;
                Ok(AnyConnection::Sqlite(conn))
            }
        }
    }

    fn is_valid(&self, conn: &mut AnyConnection) -> Result<(), ManagerError> {
        match (self, conn) {
            (Self::Sqlite(manager), AnyConnection::Sqlite(conn)) => manager.is_valid(conn),
        }
    }

    fn has_broken(&self, conn: &mut AnyConnection) -> bool {
        match (self, conn) {
            (Self::Sqlite(manager), AnyConnection::Sqlite(conn)) => manager.has_broken(conn),
        }
    }
}
