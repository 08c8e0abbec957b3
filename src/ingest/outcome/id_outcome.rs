//! What became of one id, for a host that wants to know it of each.

use crate::ingest::outcome::failure::Failure;

/// What became of an id of a run.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct IdResult<I> {
    /// The id.
    pub id: I,
    /// How it ended.
    pub outcome: IdOutcome,
}

/// How an id ended in a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum IdOutcome {
    /// Its record is committed.
    Stored,
    /// It is committed as absent.
    Absent,
    /// It is committed as failed.
    Failed(Failure),
    /// No outcome was committed, so it can be run again.
    NotAttempted,
}
