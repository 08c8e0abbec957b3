//! The connections that the queries of Hacker News run on. Each query is written once, for every database.

use diesel::{
    QueryResult, SqliteConnection,
    connection::{AnsiTransactionManager, TransactionManager},
    result::Error,
};

use super::dialect::{Dialect, SQLITE};
use crate::store::{StoreConnection, any::AnyConnection};

/// Runs a query on the connection of whichever database it is.
///
/// The query is compiled for each database by itself, so none pays for the others.
macro_rules! on_backend {
    ($conn:expr, |$backend:ident| $query:expr) => {
        match $crate::hn::connection::HnConnection::backend($conn) {
            $crate::hn::connection::Backend::Sqlite($backend) => $query,
        }
    };
}
pub(in crate::hn) use on_backend;

/// A connection to a database that can hold the tables of Hacker News.
pub trait HnConnection: StoreConnection<Error = Error> {
    /// The connection as its database's own type, for queries.
    #[doc(hidden)]
    fn backend(&mut self) -> Backend<'_>;

    /// The SQL of this database that others do not share.
    #[doc(hidden)]
    fn dialect(&self) -> &'static Dialect;

    /// Inside a write transaction: waits until no other transaction claims ids.
    #[cfg(feature = "cli")]
    #[doc(hidden)]
    fn lock_claims(&mut self) -> QueryResult<()> {
        match self.backend() {
            // The transaction is the only one that may write.
            Backend::Sqlite(_) => Ok(()),
        }
    }

    /// Runs `work`, which only reads, on one snapshot of the database.
    ///
    /// # Errors
    /// The error of `work`, or of the database.
    fn snapshot<T>(&mut self, work: impl FnOnce(&mut Self) -> QueryResult<T>) -> QueryResult<T> {
        on_backend!(self, |conn| AnsiTransactionManager::begin_transaction(conn))?;
        let done = work(self);
        // It has written nothing, so it is only ended.
        let ended = self.roll_back();
        done.and_then(|done| ended.map(|()| done))
    }
}

impl HnConnection for SqliteConnection {
    fn backend(&mut self) -> Backend<'_> {
        Backend::Sqlite(self)
    }

    fn dialect(&self) -> &'static Dialect {
        &SQLITE
    }
}

impl HnConnection for AnyConnection {
    fn backend(&mut self) -> Backend<'_> {
        match self {
            Self::Sqlite(conn) => Backend::Sqlite(conn),
        }
    }

    fn dialect(&self) -> &'static Dialect {
        match self {
            Self::Sqlite(conn) => conn.dialect(),
        }
    }
}

/// A connection as its database's own type.
#[doc(hidden)]
#[allow(missing_debug_implementations)]
pub enum Backend<'a> {
    Sqlite(&'a mut SqliteConnection),
}
