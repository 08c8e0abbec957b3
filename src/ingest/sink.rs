//! Where records go: the trait that an embedder implements for its tables.

use std::time::SystemTime;

use diesel::QueryResult;

use crate::{
    ingest::{outcome::answer::Outcome, source::Id},
    store::StoreConnection,
};

/// Tables that outcomes are written to.
pub trait Sink: Send + Sync + 'static {
    /// The source's id.
    type Id: Id;
    /// The source's record.
    type Record: Send + 'static;
    /// The connection of the database that the tables are in: Diesel's `SqliteConnection`.
    type Connection: StoreConnection;

    /// Writes a batch, in the order in which its outcomes came.
    ///
    /// Runs on a blocking thread inside the transaction that Storage has opened: all of it commits, or nothing. May be called
    /// again with part of the same batch, or with an outcome that has become [`Outcome::Failed`]. An id may occur more than
    /// once in a batch; the later outcome wins.
    ///
    /// Two answers for one id may be committed in either order, by this pipeline or by another one. Tables that keep
    /// [`Settled::received_at`] can refuse the older answer.
    ///
    /// # Errors
    /// Whatever Diesel says. A constraint or a value that does not serialize makes Storage write row by row, so that it costs
    /// one id; a full disk or an I/O error ends the run.
    fn write(
        &self,
        conn: &mut Self::Connection,
        batch: &[Settled<Self::Id, Self::Record>],
    ) -> QueryResult<()>;
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
    /// For calling a sink without a pipeline, as its tests do.
    pub fn new(id: I, outcome: Outcome<R>, received_at: SystemTime) -> Self {
        Self {
            id,
            outcome,
            received_at,
        }
    }
}
