//! The sink: the trait that an embedder implements for its tables.

use std::time::SystemTime;

use crate::{
    ingest::{outcome::answer::Outcome, source::Id},
    store::StoreConnection,
};

/// The tables that outcomes are written to.
pub trait Sink: Send + Sync + 'static {
    /// The source's id.
    type Id: Id;
    /// The source's record.
    type Record: Send + 'static;
    /// The connection of the database that the tables are in: Diesel's `SqliteConnection`, or [a type of your
    /// own](crate::store::StoreConnection).
    type Connection: StoreConnection;

    /// Writes a batch, in the order in which its outcomes came.
    ///
    /// It runs on a blocking thread inside the transaction that Storage has opened: all of it commits, or nothing. It may be
    /// called again with a part of the same batch, or with a row whose outcome has become [`Outcome::Failed`]. An id may occur
    /// more than once in a batch; then the later outcome counts.
    ///
    /// Two answers for one id may be committed in either order, by this pipeline or by another one. A table that keeps
    /// [`Settled::received_at`] can refuse the older answer.
    ///
    /// # Errors
    /// The error of the database; with Diesel the result is a `QueryResult<()>`. After a violated constraint or a value that does
    /// not serialize, Storage writes row by row, so that only one id fails. A full disk or an I/O error ends the run.
    fn write(
        &self,
        conn: &mut Self::Connection,
        batch: &[Settled<Self::Id, Self::Record>],
    ) -> Result<(), <Self::Connection as StoreConnection>::Error>;
}

/// An id with its outcome, ready to be committed.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Settled<I, R> {
    /// The id.
    pub id: I,
    /// How it ended.
    pub outcome: Outcome<R>,
    /// When the answer was received: later than the request, earlier than the commit.
    pub received_at: SystemTime,
}

impl<I, R> Settled<I, R> {
    /// Makes a row, for tests that call a sink without a pipeline.
    pub fn new(id: I, outcome: Outcome<R>, received_at: SystemTime) -> Self {
        Self {
            id,
            outcome,
            received_at,
        }
    }
}
