//! Where records go: the trait that an embedder implements for its tables.

use diesel::{QueryResult, SqliteConnection};

use crate::ingest::{outcome::answer::Outcome, source::Id};

/// Tables that outcomes are written to.
pub trait Sink: Send + Sync + 'static {
    /// The source's id.
    type Id: Id;
    /// The source's record.
    type Record: Send + 'static;

    /// Writes a batch, in the order in which its outcomes came.
    ///
    /// Runs on a blocking thread inside the transaction that Storage has opened: all of it commits, or none. May be called
    /// again with part of the same batch, or with an outcome that has become [`Outcome::Failed`]. An id may occur more than
    /// once in a batch; the later outcome wins.
    ///
    /// # Errors
    /// Whatever Diesel says. A constraint or a value that does not serialize makes Storage write row by row, so that it costs
    /// one id; a full disk or an I/O error ends the run.
    fn write(
        &self,
        conn: &mut SqliteConnection,
        batch: &[(Self::Id, Outcome<Self::Record>)],
    ) -> QueryResult<()>;
}
