//! The events that are recorded.

use crate::ingest::outcome::failure::FailureKind;

/// Events that are counted one by one or many at a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Event {
    Requested,
    Stored,
    Absent,
    Failed,
    NotAttempted,
    Attempt,
    Retry,
    PushedBack,
    ConnectionOpened,
    BodyBytes,
    FetcherReplaced,
    CommitMicros,
}

impl Event {
    pub(super) const COUNT: usize = Self::CommitMicros as usize + 1;
}

/// Why a batch was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum BatchTrigger {
    /// Enough rows waited.
    Rows,
    /// Enough bytes of bodies waited.
    Bytes,
    /// The first row had waited for long enough.
    Linger,
    /// No more rows were coming.
    End,
}

impl BatchTrigger {
    pub(super) const COUNT: usize = 4;
}

/// The values of the label `outcome` of requests, in the order of [`RequestEnd::index`].
pub(super) const REQUEST_ENDS: [&str; 7] = [
    "ok", "timeout", "connect", "reset", "status", "body", "dropped",
];

/// How an HTTP exchange ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RequestEnd {
    Ok,
    Failed(FailureKind),
    /// The drain of a cancelled run cut it off.
    Dropped,
}

impl RequestEnd {
    /// Position among the values of the label `outcome`.
    pub(super) fn index(self) -> usize {
        match self {
            Self::Ok => 0,
            // The kinds that an attempt can fail with are the first ones.
            Self::Failed(kind) => 1 + kind.index().min(FailureKind::Body.index()),
            Self::Dropped => REQUEST_ENDS.len() - 1,
        }
    }
}
