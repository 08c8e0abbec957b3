//! PostgreSQL as a store: connecting to a server, the settings of a session, and what the server's messages mean.

pub(super) mod classify;
mod location;
mod manager;
mod server;

use std::{ffi::OsStr, time::Duration};

use diesel::{
    PgConnection, QueryResult,
    connection::{AnsiTransactionManager, TransactionManager},
    r2d2::{Builder, ManageConnection, PoolError},
    result::Error,
};

use self::classify::{classify, classify_connecting};
#[cfg(any(feature = "cli", feature = "serve"))]
pub(crate) use self::manager::connect;
#[cfg(feature = "cli")]
pub(crate) use self::manager::establish;
use self::manager::place;
pub use self::{
    location::{BadPgUrl, PgLocation},
    manager::PgManager,
    server::OLDEST_VERSION,
};
use super::{ErrorClass, Pool, StoreConnection, StoreError, pool, silence::is_abandoned};

/// A pool of PostgreSQL connections.
pub type PgPool = Pool<PgConnection>;

/// How long a checkout waits for a new connection. Short, because nothing can end this wait early. A connection that takes longer is
/// made all the same, and the next checkout gets it.
const CHECKOUT_TIMEOUT: Duration = Duration::from_secs(3);

/// A server takes this long to start after a crash, or to be replaced by another.
const BUSY_WAIT_MAX: Duration = Duration::from_secs(5 * 60);

impl StoreConnection for PgConnection {
    type Manager = PgManager;
    type Error = Error;
    /// The URL without its password, for messages. A connection stays with its database.
    type Identity = String;

    /// `location` is a `postgres://` or `postgresql://` URL as libpq takes it.
    fn open(location: &OsStr) -> Result<PgPool, StoreError> {
        let manager = PgManager::open(location)?;
        pool_builder()
            .build(manager)
            .map_err(|error| StoreError::NoConnection(error.to_string()))
    }

    fn identify(&mut self) -> Result<String, StoreError> {
        let place = place(self).map_err(|error| StoreError::NoConnection(error.to_string()))?;
        Ok(place.unwrap_or_else(|| "the PostgreSQL database".to_owned()))
    }

    fn check(_: &String) -> Result<(), String> {
        Ok(())
    }

    /// Five minutes: a server that restarts, or is replaced, is waited for.
    fn busy_wait_max(_: &String) -> Duration {
        BUSY_WAIT_MAX
    }

    fn silence_max(_: &String) -> Option<Duration> {
        Some(BUSY_WAIT_MAX)
    }

    fn name(place: &String) -> String {
        place.clone()
    }

    fn begin_write(&mut self) -> QueryResult<()> {
        // Whatever the defaults of the role and of the database are.
        let begin = "BEGIN ISOLATION LEVEL READ COMMITTED, READ WRITE";
        AnsiTransactionManager::begin_transaction_sql(self, begin)
    }

    fn commit(&mut self) -> QueryResult<()> {
        if is_abandoned() {
            self.roll_back()?;
            return Err(Error::RollbackTransaction);
        }
        AnsiTransactionManager::commit_transaction(self)
    }

    fn roll_back(&mut self) -> QueryResult<()> {
        AnsiTransactionManager::rollback_transaction(self)
    }

    fn classify(&self, error: &Error) -> ErrorClass {
        classify(error)
    }

    fn classify_checkout(_: &String, error: &PoolError) -> ErrorClass {
        classify_connecting(&error.to_string())
    }
}

/// Opens the database of a `postgres://` URL as a pool. Connects once, to see whether the database can be used; so call it where blocking
/// is allowed.
///
/// Unless the URL says otherwise, a server that is gone is noticed within half a minute. Its sessions end after 15 seconds inside a
/// transaction in which nothing happens, because others may wait for its locks.
///
/// # Errors
/// The text is no such URL, the server gives no connection, it is older than [`OLDEST_VERSION`], or its database is not in UTF-8.
pub fn open(url: &str) -> Result<PgPool, StoreError> {
    PgConnection::open(OsStr::new(url))
}

/// The settings of a pool.
pub(super) fn pool_builder<M: ManageConnection>() -> Builder<M> {
    pool::pool_builder(CHECKOUT_TIMEOUT)
}
