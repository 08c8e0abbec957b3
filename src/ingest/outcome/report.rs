//! How a run ended.

use std::time::Duration;

use serde::{Serialize, Serializer};
use thiserror::Error;

use crate::{
    ingest::{
        limits::cool_down::AskedToWait,
        outcome::{failure::Failure, progress::Progress, serialize::seconds},
    },
    store::message::in_words,
};

/// A report lists at most this many failures. The others are only counted.
pub const FAILURES_LISTED: usize = 100;

/// How a run ended.
///
/// Serialized, `elapsed` is seconds with a fraction, and `gave_up` is the message of [`GaveUp`].
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct Report<I> {
    /// The counters at the end: `requested = stored + absent + failed + not_attempted`.
    pub totals: Progress,
    /// From the start of the run to its last commit.
    #[serde(serialize_with = "seconds")]
    pub elapsed: Duration,
    /// Whether [`Run::cancel`](crate::Run::cancel) or a shutdown ended it.
    pub interrupted: bool,
    /// Why the run could not go on; `None` unless that ended it.
    pub gave_up: Option<GaveUp>,
    /// Why the list of ids ended too early: the message of its panic, or what happened to the event stream that announced them.
    /// `None` otherwise. The rest of the list is not attempted.
    pub list_failed: Option<String>,
    /// The first failures, at most [`FAILURES_LISTED`].
    pub failures: Vec<FailedId<I>>,
}

/// Why a run could not go on. What the report calls stored is committed; the ids that are not attempted can be run again later.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum GaveUp {
    /// Nothing more could be committed, for this reason.
    #[error("nothing more can be stored: {0}")]
    StorageLost(String),
    /// The run was stopped while the database was busy, or did not answer, as this text says. What is not known to be committed counts as
    /// not attempted.
    #[error("the run was stopped while it waited for the database: {0}")]
    StorageBusy(String),
    /// No attempt brought an answer, for longer than [`Config::outage_patience`](crate::Config::outage_patience).
    #[error("the API has been out for {}: {last_error}", in_words(Duration::from_secs(.failing_for.as_secs())))]
    #[non_exhaustive]
    ApiOut {
        /// How long all attempts had failed, without pauses. A time in which the API asked for no requests is included if it still
        /// failed after it.
        failing_for: Duration,
        /// How the last of them failed.
        last_error: String,
    },
    /// The API, or the proxy before it, refused [`Config::max_refusals`](crate::Config::max_refusals) ids in a row. These ids count as
    /// not attempted.
    #[error("the last {ids} ids were all refused: {last_failure}")]
    #[non_exhaustive]
    ApiRefuses {
        /// How many ids were refused in a row.
        ids: usize,
        /// How the last of them failed.
        last_failure: Failure,
    },
    /// The API asked for no requests, for longer than [`Config::outage_patience`](crate::Config::outage_patience) and than ten seconds.
    #[error("{}", AskedToWait { rest: *.wait })]
    #[non_exhaustive]
    ApiAsksToWait {
        /// How long it asks to wait.
        wait: Duration,
    },
}

impl GaveUp {
    /// Whether the run cannot commit anything more.
    pub(crate) fn is_about_storage(&self) -> bool {
        matches!(self, Self::StorageLost(_) | Self::StorageBusy(_))
    }
}

/// Serialized as its message.
impl Serialize for GaveUp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
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
            self.totals.records as f64 / seconds
        } else {
            0.0
        }
    }

    /// Whether every id is stored or absent.
    pub fn is_complete(&self) -> bool {
        self.totals.failed == 0 && self.totals.not_attempted == 0 && self.list_failed.is_none()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::ingest::outcome::failure::FailureKind;

    #[test]
    fn a_serialized_report_has_seconds_totals_failures_and_the_reason_as_a_message() {
        let failure = Failure::new(FailureKind::Status, "HTTP status 500", 4);
        let report = Report {
            totals: Progress::default(),
            elapsed: Duration::from_millis(2500),
            interrupted: false,
            gave_up: Some(GaveUp::ApiAsksToWait {
                wait: Duration::from_secs(90),
            }),
            list_failed: None,
            failures: vec![FailedId::new("a", failure)],
        };
        let json = serde_json::to_value(&report).expect("plain data");
        assert_eq!(json["elapsed"], 2.5);
        assert_eq!(json["totals"]["requested"], 0);
        assert_eq!(
            json["gave_up"],
            "the API asks for no requests for the next 1m 30s"
        );
        assert_eq!(
            json["failures"],
            json!([{"id": "a", "kind": "status", "message": "HTTP status 500", "attempts": 4}])
        );
    }
}
