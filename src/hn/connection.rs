//! The connections that the queries of Hacker News run on. Each query is written once, for every database.

#[cfg(feature = "postgres")]
use diesel::PgConnection;
use diesel::{
    QueryResult, SqliteConnection,
    connection::{AnsiTransactionManager, SimpleConnection},
    result::Error,
};

#[cfg(feature = "postgres")]
use super::dialect::POSTGRES;
use super::dialect::{Dialect, SQLITE};
#[cfg(feature = "cli")]
use crate::store::read_only::ReadConnection;
use crate::store::{StoreConnection, any::AnyConnection};

/// Ids of one query, well under SQLite's 32,766 bound values.
#[cfg(feature = "serve")]
pub(super) const IDS_OF_QUERY: usize = 1000;

/// Runs a query on the connection of whichever database it is.
///
/// The query is compiled for each database by itself, so none pays for the others. With a second name, that is the loading mode for
/// `load_iter` in which rows come one by one, however many there are; by default PostgreSQL's come all at once.
macro_rules! on_backend {
    ($conn:expr, |$backend:ident| $query:expr) => {
        match $crate::hn::connection::HnConnection::backend($conn) {
            $crate::hn::connection::Backend::Sqlite($backend) => $query,
            #[cfg(feature = "postgres")]
            $crate::hn::connection::Backend::Postgres($backend) => $query,
        }
    };
    ($conn:expr, |$backend:ident, $mode:ident| $query:expr) => {
        match $crate::hn::connection::HnConnection::backend($conn) {
            $crate::hn::connection::Backend::Sqlite($backend) => {
                type $mode = diesel::connection::DefaultLoadingMode;
                $query
            }
            #[cfg(feature = "postgres")]
            $crate::hn::connection::Backend::Postgres($backend) => {
                type $mode = diesel::pg::PgRowByRowLoadingMode;
                $query
            }
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

    /// Locks the ledger until the transaction ends: what reads the tables of settled ids and then writes them must not overlap with
    /// another such transaction. Rows of items are written before it, in the order of their ids, so that only the ledger is written
    /// by one at a time.
    ///
    /// # Errors
    /// The error of the database.
    fn lock_ledger(&mut self) -> QueryResult<()> {
        let lock = self.dialect().lock_ledger;
        on_backend!(self, |conn| conn.batch_execute(lock))
    }

    /// Inside a write transaction: waits until no other transaction claims ids.
    #[cfg(feature = "cli")]
    #[doc(hidden)]
    fn lock_claims(&mut self) -> QueryResult<()> {
        let lock = self.dialect().lock_claims;
        on_backend!(self, |conn| conn.batch_execute(lock))
    }

    /// Runs `work`, which only reads, on one snapshot of the database.
    ///
    /// # Errors
    /// The error of `work`, or of the database.
    fn snapshot<T>(&mut self, work: impl FnOnce(&mut Self) -> QueryResult<T>) -> QueryResult<T> {
        let begin = self.dialect().begin_snapshot;
        on_backend!(self, |conn| AnsiTransactionManager::begin_transaction_sql(
            conn, begin
        ))?;
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

#[cfg(feature = "postgres")]
impl HnConnection for PgConnection {
    fn backend(&mut self) -> Backend<'_> {
        Backend::Postgres(self)
    }

    fn dialect(&self) -> &'static Dialect {
        &POSTGRES
    }
}

impl HnConnection for AnyConnection {
    fn backend(&mut self) -> Backend<'_> {
        match self {
            Self::Sqlite(conn) => Backend::Sqlite(conn),
            #[cfg(feature = "postgres")]
            Self::Postgres(conn) => Backend::Postgres(conn),
        }
    }

    fn dialect(&self) -> &'static Dialect {
        match self {
            Self::Sqlite(conn) => conn.dialect(),
            #[cfg(feature = "postgres")]
            Self::Postgres(conn) => conn.dialect(),
        }
    }
}

#[cfg(feature = "cli")]
impl HnConnection for ReadConnection {
    fn backend(&mut self) -> Backend<'_> {
        self.0.backend()
    }

    fn dialect(&self) -> &'static Dialect {
        self.0.dialect()
    }
}

/// A connection as its database's own type.
#[doc(hidden)]
#[allow(missing_debug_implementations)]
pub enum Backend<'a> {
    Sqlite(&'a mut SqliteConnection),
    #[cfg(feature = "postgres")]
    Postgres(&'a mut PgConnection),
}
