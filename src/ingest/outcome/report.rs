//! How a run ended.

use std::time::Duration;

use serde::Serialize;

use crate::ingest::outcome::{failure::Failure, progress::Progress};

/// A report lists at most this many failures. The others are only counted.
pub const FAILURES_LISTED: usize = 100;

/// How a run ended.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Report<I> {
    /// The counters at the end: `requested = stored + absent + failed + not_attempted`.
    pub totals: Progress,
    /// From the start of the run to its last commit.
    pub elapsed: Duration,
    /// Whether [`Run::cancel`](crate::Run::cancel) or a shutdown ended it.
    pub interrupted: bool,
    /// Why nothing more could be committed; `None` unless that ended the run.
    pub storage_lost: Option<String>,
    /// How long all attempts had failed; `None` unless that ended the run. Pauses, and times in which the API asked for no requests,
    /// are not included.
    pub outage: Option<Duration>,
    /// The message of a panic of the list of ids; `None` unless that ended the list. The rest of the list is not attempted.
    pub list_failed: Option<String>,
    /// The first failures, at most [`FAILURES_LISTED`].
    pub failures: Vec<FailedId<I>>,
}

/// An id that failed.
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct FailedId<I> {
    /// The id.
    pub id: I,
    /// The name of its [`FailureKind`](crate::FailureKind).
    pub kind: &'static str,
    /// What happened, for a person to read.
    pub message: String,
    /// Attempts made.
    pub attempts: u32,
}

impl<I> FailedId<I> {
    pub(crate) fn new(id: I, failure: Failure) -> Self {
        Self {
            id,
            kind: failure.kind.as_str(),
            message: failure.message,
            attempts: failure.attempts,
        }
    }
}

impl<I> Report<I> {
    /// Records committed per second, over the whole run.
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
