//! A connection to whichever database its location names, for programs whose users choose the database.

use std::{ffi::OsStr, path::Path, time::Duration};

#[cfg(feature = "postgres")]
use diesel::PgConnection;
use diesel::{
    QueryResult, SqliteConnection,
    r2d2::{ConnectionManager, Error as ManagerError, ManageConnection, PoolError},
    result::Error,
};

#[cfg(feature = "postgres")]
use super::postgres::{self, PgLocation, PgManager};
#[cfg(feature = "serve")]
use super::sqlite::FrozenFile;
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
    /// To a PostgreSQL server.
    #[cfg(feature = "postgres")]
    Postgres(PgConnection),
}

impl AnyConnection {
    /// Opens a database to read it, and never creates anything. Each statement on a server ends after `time`. To be called where
    /// blocking is allowed.
    ///
    /// # Errors
    /// The database cannot be opened or read.
    #[cfg(feature = "serve")]
    pub(crate) fn open_read_only(location: &OsStr, time: Duration) -> Result<Self, StoreError> {
        Self::open_watched(location, time).map(|(conn, _)| conn)
    }

    /// The same, and the file if it is read as it is at this moment: the connection does not see when it is written.
    ///
    /// # Errors
    /// The database cannot be opened or read.
    #[cfg(feature = "serve")]
    pub(crate) fn open_watched(
        location: &OsStr,
        time: Duration,
    ) -> Result<(Self, Option<FrozenFile>), StoreError> {
        #[cfg(feature = "postgres")]
        if PgLocation::is_meant_by(&location.to_string_lossy()) {
            use diesel::connection::SimpleConnection;
            let location = PgLocation::parse(&location.to_string_lossy())?;
            let mut conn = postgres::connect(&location)?;
            let settings = format!(
                "SET default_transaction_read_only = on; SET statement_timeout = {}",
                time.as_millis().max(1)
            );
            conn.batch_execute(&settings)
                .map_err(|error| StoreError::NoConnection(error.to_string()))?;
            return Ok((Self::Postgres(conn), None));
        }
        let _ = time;
        let (conn, frozen) = super::sqlite::open_watched(Path::new(location))?;
        Ok((Self::Sqlite(conn), frozen))
    }

    /// How many bytes the database takes on its server, if it is on one that says so.
    #[cfg(feature = "cli")]
    pub(crate) fn size_on_server(&mut self) -> Option<u64> {
        match self {
            Self::Sqlite(_) => None,
            #[cfg(feature = "postgres")]
            Self::Postgres(conn) => {
                use diesel::{RunQueryDsl, dsl::sql, sql_types::BigInt};
                let size = sql::<BigInt>("SELECT pg_database_size(current_database())");
                size.get_result::<i64>(conn).ok()?.try_into().ok()
            }
        }
    }

    /// Makes what was committed survive a power cut, as far as it does not already.
    #[cfg(feature = "cli")]
    pub(crate) fn checkpoint(&mut self) -> QueryResult<()> {
        use diesel::connection::SimpleConnection;
        match self {
            Self::Sqlite(conn) => conn.batch_execute("PRAGMA wal_checkpoint(PASSIVE)"),
            #[cfg(feature = "postgres")]
            Self::Postgres(_) => Ok(()),
        }
    }
}

/// Makes the connections of an [`AnyPool`].
#[derive(Debug)]
#[non_exhaustive]
pub enum AnyManager {
    /// To an SQLite file.
    Sqlite(ConnectionManager<SqliteConnection>),
    /// To a PostgreSQL server.
    #[cfg(feature = "postgres")]
    Postgres(PgManager),
}

/// Distinguishes the opened database from another one that has taken its place since.
#[derive(Debug)]
#[non_exhaustive]
pub enum AnyIdentity {
    /// The identity of an SQLite file. `None` for a database that is in no file.
    Sqlite(Option<FileIdentity>),
    /// The URL of a database on a PostgreSQL server, without the password.
    #[cfg(feature = "postgres")]
    Postgres(String),
}

impl StoreConnection for AnyConnection {
    type Manager = AnyManager;
    type Error = Error;
    type Identity = AnyIdentity;

    fn open(location: &OsStr) -> Result<AnyPool, StoreError> {
        #[cfg(feature = "postgres")]
        if PgLocation::is_meant_by(&location.to_string_lossy()) {
            return postgres::pool_builder()
                .build(AnyManager::Postgres(PgManager::open(location)?))
                .map_err(|error| StoreError::NoConnection(error.to_string()));
        }
        let name = prepare_file(Path::new(location))?;
        pool_builder()
            .build(AnyManager::Sqlite(ConnectionManager::new(name)))
            .map_err(|error| StoreError::NoConnection(error.to_string()))
    }

    fn identify(&mut self) -> Result<AnyIdentity, StoreError> {
        match self {
            Self::Sqlite(conn) => conn.identify().map(AnyIdentity::Sqlite),
            #[cfg(feature = "postgres")]
            Self::Postgres(conn) => conn.identify().map(AnyIdentity::Postgres),
        }
    }

    fn check(identity: &AnyIdentity) -> Result<(), String> {
        match identity {
            AnyIdentity::Sqlite(file) => SqliteConnection::check(file),
            #[cfg(feature = "postgres")]
            AnyIdentity::Postgres(place) => PgConnection::check(place),
        }
    }

    fn busy_wait_max(identity: &AnyIdentity) -> Duration {
        match identity {
            AnyIdentity::Sqlite(file) => SqliteConnection::busy_wait_max(file),
            #[cfg(feature = "postgres")]
            AnyIdentity::Postgres(place) => PgConnection::busy_wait_max(place),
        }
    }

    fn silence_max(identity: &AnyIdentity) -> Option<Duration> {
        match identity {
            AnyIdentity::Sqlite(file) => SqliteConnection::silence_max(file),
            #[cfg(feature = "postgres")]
            AnyIdentity::Postgres(place) => PgConnection::silence_max(place),
        }
    }

    fn name(identity: &AnyIdentity) -> String {
        match identity {
            AnyIdentity::Sqlite(file) => SqliteConnection::name(file),
            #[cfg(feature = "postgres")]
            AnyIdentity::Postgres(place) => PgConnection::name(place),
        }
    }

    fn begin_write(&mut self) -> QueryResult<()> {
        match self {
            Self::Sqlite(conn) => conn.begin_write(),
            #[cfg(feature = "postgres")]
            Self::Postgres(conn) => conn.begin_write(),
        }
    }

    fn commit(&mut self) -> QueryResult<()> {
        match self {
            Self::Sqlite(conn) => conn.commit(),
            #[cfg(feature = "postgres")]
            Self::Postgres(conn) => conn.commit(),
        }
    }

    fn roll_back(&mut self) -> QueryResult<()> {
        match self {
            Self::Sqlite(conn) => conn.roll_back(),
            #[cfg(feature = "postgres")]
            Self::Postgres(conn) => conn.roll_back(),
        }
    }

    fn classify(&self, error: &Error) -> ErrorClass {
        match self {
            Self::Sqlite(conn) => conn.classify(error),
            #[cfg(feature = "postgres")]
            Self::Postgres(conn) => conn.classify(error),
        }
    }

    fn classify_checkout(identity: &AnyIdentity, error: &PoolError) -> ErrorClass {
        match identity {
            AnyIdentity::Sqlite(file) => SqliteConnection::classify_checkout(file, error),
            #[cfg(feature = "postgres")]
            AnyIdentity::Postgres(place) => PgConnection::classify_checkout(place, error),
        }
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
            #[cfg(feature = "postgres")]
            Self::Postgres(manager) => manager.connect().map(AnyConnection::Postgres),
        }
    }

    fn is_valid(&self, conn: &mut AnyConnection) -> Result<(), ManagerError> {
        match (self, conn) {
            (Self::Sqlite(manager), AnyConnection::Sqlite(conn)) => manager.is_valid(conn),
            #[cfg(feature = "postgres")]
            (Self::Postgres(manager), AnyConnection::Postgres(conn)) => manager.is_valid(conn),
            // A manager only ever sees the connections that it made.
            #[cfg(feature = "postgres")]
            _ => Ok(()),
        }
    }

    fn has_broken(&self, conn: &mut AnyConnection) -> bool {
        match (self, conn) {
            (Self::Sqlite(manager), AnyConnection::Sqlite(conn)) => manager.has_broken(conn),
            #[cfg(feature = "postgres")]
            (Self::Postgres(manager), AnyConnection::Postgres(conn)) => manager.has_broken(conn),
            // A manager only ever sees the connections that it made.
            #[cfg(feature = "postgres")]
            _ => true,
        }
    }
}
