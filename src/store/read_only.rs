//! Connections that only read, for runs of the engine that write nothing. The database need not be writable.

use std::{ffi::OsStr, fmt, path::PathBuf, thread, time::Duration};

use diesel::{
    QueryResult,
    connection::AnsiTransactionManager,
    r2d2::{Error as ManagerError, ManageConnection, PoolError, R2D2Connection},
    result::Error,
};

#[cfg(feature = "postgres")]
use super::postgres::{self, PgLocation};
use super::{
    ErrorClass, Pool, StoreConnection, StoreError,
    any::{AnyConnection, AnyIdentity},
    silence::is_abandoned,
    sqlite::{open_read_only, pool_builder},
};

/// A connection whose transactions read one state of the database, and write nothing.
pub(crate) struct ReadConnection(pub(crate) AnyConnection);

/// Makes the connections of a pool.
pub(crate) enum ReadManager {
    Sqlite(PathBuf),
    #[cfg(feature = "postgres")]
    Postgres(PgLocation),
}

impl StoreConnection for ReadConnection {
    type Manager = ReadManager;
    type Error = Error;
    type Identity = AnyIdentity;

    /// Never creates a file.
    fn open(location: &OsStr) -> Result<Pool<Self>, StoreError> {
        #[cfg(feature = "postgres")]
        if PgLocation::is_meant_by(&location.to_string_lossy()) {
            let location = PgLocation::parse(&location.to_string_lossy())?;
            // The message of a pool would say less.
            postgres::connect(&location)?;
            return postgres::pool_builder()
                .build(ReadManager::Postgres(location))
                .map_err(|error| StoreError::NoConnection(error.to_string()));
        }
        let path = PathBuf::from(location);
        open_read_only(&path)?;
        pool_builder()
            .build(ReadManager::Sqlite(path))
            .map_err(|error| StoreError::NoConnection(error.to_string()))
    }

    fn identify(&mut self) -> Result<AnyIdentity, StoreError> {
        self.0.identify()
    }

    fn check(identity: &AnyIdentity) -> Result<(), String> {
        AnyConnection::check(identity)
    }

    fn busy_wait_max(identity: &AnyIdentity) -> Duration {
        AnyConnection::busy_wait_max(identity)
    }

    fn silence_max(identity: &AnyIdentity) -> Option<Duration> {
        AnyConnection::silence_max(identity)
    }

    fn name(identity: &AnyIdentity) -> String {
        AnyConnection::name(identity)
    }

    /// Begins a transaction that reads one state of the database.
    fn begin_write(&mut self) -> QueryResult<()> {
        match &mut self.0 {
            AnyConnection::Sqlite(conn) => {
                AnsiTransactionManager::begin_transaction_sql(conn, "BEGIN")
            }
            #[cfg(feature = "postgres")]
            AnyConnection::Postgres(conn) => {
                let begin = "BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY";
                AnsiTransactionManager::begin_transaction_sql(conn, begin)
            }
        }
    }

    fn commit(&mut self) -> QueryResult<()> {
        self.0.commit()
    }

    fn roll_back(&mut self) -> QueryResult<()> {
        self.0.roll_back()
    }

    fn classify(&self, error: &Error) -> ErrorClass {
        self.0.classify(error)
    }

    fn classify_checkout(identity: &AnyIdentity, error: &PoolError) -> ErrorClass {
        AnyConnection::classify_checkout(identity, error)
    }
}

impl ManageConnection for ReadManager {
    type Connection = ReadConnection;
    type Error = ManagerError;

    fn connect(&self) -> Result<ReadConnection, ManagerError> {
        let bad = |error: StoreError| {
            ManagerError::ConnectionError(diesel::ConnectionError::BadConnection(error.to_string()))
        };
        let conn = match self {
            Self::Sqlite(path) => AnyConnection::Sqlite(open_read_only(path).map_err(bad)?),
            #[cfg(feature = "postgres")]
            Self::Postgres(location) => AnyConnection::Postgres(postgres::establish(location)?),
        };
        Ok(ReadConnection(conn))
    }

    fn is_valid(&self, ReadConnection(conn): &mut ReadConnection) -> Result<(), ManagerError> {
        let answered = match conn {
            AnyConnection::Sqlite(conn) => conn.ping(),
            #[cfg(feature = "postgres")]
            AnyConnection::Postgres(conn) => conn.ping(),
        };
        answered.map_err(ManagerError::QueryError)
    }

    fn has_broken(&self, ReadConnection(conn): &mut ReadConnection) -> bool {
        let is_broken = match conn {
            AnyConnection::Sqlite(conn) => conn.is_broken(),
            #[cfg(feature = "postgres")]
            AnyConnection::Postgres(conn) => conn.is_broken(),
        };
        thread::panicking() || is_abandoned() || is_broken
    }
}

impl fmt::Debug for ReadManager {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReadManager").finish_non_exhaustive()
    }
}
