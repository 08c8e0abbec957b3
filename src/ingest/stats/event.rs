//! The events that are recorded.

use crate::ingest::outcome::failure::FailureKind;

/// The counters of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Event {
    /// An id was read from the list, or announced by the list's length.
    Requested,
    /// An announced id turned out not to be in the list.
    NotInList,
    /// An id was committed with its record.
    Stored,
    /// A record of a stored id was committed. An id may be a page of many records.
    Record,
    /// An id was committed as absent.
    Absent,
    /// An id was committed as failed.
    Failed,
    /// It became certain that an id gets no outcome in this run.
    NotAttempted,
    /// An attempt or a resend began.
    Attempt,
    /// An attempt or a resend began that was not the first of its id.
    Retry,
    /// An attempt was answered with 429.
    PushedBack,
    /// A connection was opened.
    ConnectionOpened,
    /// A byte of a body that was received completely.
    BodyBytes,
    /// A fetcher died and was replaced.
    FetcherReplaced,
    /// A microsecond that decoding a batch took.
    DecodeMicros,
    /// A microsecond that writing a batch took.
    CommitMicros,
}

impl Event {
    /// How many counters there are. `CommitMicros` must stay the last one.
    pub(super) const COUNT: usize = Self::CommitMicros as usize + 1;
}

/// Why a batch was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum BatchTrigger {
    /// Enough rows waited.
    Rows,
    /// Enough bytes of bodies waited.
    Bytes,
    /// A row had waited for the linger time.
    Linger,
    /// No more rows were coming.
    End,
}

impl BatchTrigger {
    /// How many reasons there are. `End` must stay the last one.
    pub(super) const COUNT: usize = Self::End as usize + 1;
}

/// The values of the label `outcome` of the requests metric, in the order of [`RequestEnd::index`].
pub(super) const REQUEST_ENDS: [&str; 7] = [
    "ok", "timeout", "connect", "reset", "status", "body", "dropped",
];

/// How an attempt ended, for the requests metric.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RequestEnd {
    Ok,
    Failed(FailureKind),
    /// It was dropped, because the run was aborted.
    Dropped,
}

impl RequestEnd {
    /// The position of its label value in [`REQUEST_ENDS`].
    pub(super) fn index(self) -> usize {
        match self {
            Self::Ok => 0,
            Self::Failed(FailureKind::Timeout) => 1,
            Self::Failed(FailureKind::Connect | FailureKind::Request) => 2,
            Self::Failed(FailureKind::Reset) => 3,
            Self::Failed(FailureKind::Status) => 4,
            // An attempt does not fail with the kinds after `Body`.
            Self::Failed(_) => 5,
            Self::Dropped => REQUEST_ENDS.len() - 1,
        }
    }
}
