//! What a run came to. Pure.

use std::time::Duration;

use serde::Serialize;

use crate::ingest::{outcome::Failure, stats::recorder::Progress};

/// A report lists this many failures; the rest are counted.
pub const FAILURES_LISTED: usize = 100;

/// What a run came to, however it ended.
#[derive(Clone, Debug)]
pub struct Report<I> {
    /// The counters at the end: `requested = stored + absent + failed + not_attempted`.
    pub totals: Progress,
    /// From the start of the run to its last commit.
    pub elapsed: Duration,
    /// Whether [`Run::cancel`](crate::Run::cancel) or a shutdown ended it.
    pub interrupted: bool,
    /// Why nothing more could be committed, when that ended the run.
    pub storage_lost: Option<String>,
    /// How long the API had given nothing but connect errors, timeouts and 5xx, when that ended the run.
    pub outage: Option<Duration>,
    /// What the list of ids panicked with, when that ended it; what it still held is not attempted.
    pub list_failed: Option<String>,
    /// The first failures, at most [`FAILURES_LISTED`].
    pub failures: Vec<FailedId<I>>,
}

/// An id that failed.
#[derive(Clone, Debug, Serialize)]
pub struct FailedId<I> {
    /// Which.
    pub id: I,
    /// The [`FailureKind`](crate::FailureKind)'s name.
    pub kind: &'static str,
    /// What happened.
    pub message: String,
    /// Attempts that were made.
    pub attempts: u32,
}

impl<I> FailedId<I> {
    pub(crate) fn new(id: I, failure: Failure) -> Self {
        let Failure {
            kind,
            message,
            attempts,
        } = failure;
        Self {
            id,
            kind: kind.as_str(),
            message,
            attempts,
        }
    }
}

impl<I> Report<I> {
    /// Records committed a second, over the whole run.
    pub fn items_per_second(&self) -> f64 {
        let seconds = self.elapsed.as_secs_f64();
        if seconds > 0.0 {
            self.totals.stored as f64 / seconds
        } else {
            0.0
        }
    }

    /// Whether every id is stored or absent.
    pub fn is_complete(&self) -> bool {
        self.totals.failed == 0 && self.totals.not_attempted == 0 && self.list_failed.is_none()
    }
}
