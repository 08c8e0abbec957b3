//! The result for one id: the answer before it is decoded, and the outcome after.

use std::time::SystemTime;

use bytes::Bytes;
use tokio::time::Instant;

use crate::ingest::{
    backlog::{BytesPermit, RowPermit},
    limits::{cool_down::AskedToWait, signal::Blame},
    outcome::failure::{Failure, FailureKind},
};

/// An id with the result of all attempts for it.
#[derive(Debug)]
pub(crate) struct AnsweredId<I> {
    pub(crate) id: I,
    pub(crate) answer: Answer,
    /// Attempts made. A failure holds the same number.
    pub(crate) attempts: u32,
    /// When the answer was received.
    pub(crate) received_at: SystemTime,
    /// The row's room in the backlog, given back after the commit.
    pub(crate) permit: RowPermit,
}

/// Why an id has no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NotAnswered {
    /// The run was stopped first.
    Stopped,
    /// The API asked for no requests, for longer than the run waits.
    AskedToWait(AskedToWait),
    /// It was waiting to start an attempt, and an id of a higher priority needs the fetcher.
    GaveWay(AttemptsSoFar),
}

/// How far the attempts for an id have come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct AttemptsSoFar {
    pub(crate) begun: u32,
    /// The next one does not start before this time.
    pub(crate) next_at: Option<Instant>,
}

/// The result of all attempts for one id, before it is decoded.
#[derive(Debug)]
pub(crate) enum Answer {
    /// A body for the source to decode.
    Body(ReceivedBody),
    /// The HTTP status says that there is no such record.
    Absent,
    /// There is no record, because the last attempt failed or the source's code panicked.
    Failed(Failure, Blame),
}

/// A whole body, with what its head said.
#[derive(Debug)]
pub(crate) struct ReceivedBody {
    pub(crate) status: u16,
    /// Names in lower case. Empty unless the source wants headers.
    pub(crate) headers: Box<[(String, String)]>,
    pub(crate) bytes: Bytes,
    /// The room of headers and body in the backlog.
    pub(crate) room: BytesPermit,
}

/// How many bytes of memory these headers take.
pub(crate) fn headers_len(headers: &[(String, String)]) -> usize {
    let len =
        |(name, value): &(String, String)| size_of::<(String, String)>() + name.len() + value.len();
    headers.iter().map(len).sum()
}

impl Answer {
    /// How many bytes of the backlog it takes.
    pub(crate) fn len(&self) -> usize {
        match self {
            Self::Body(body) => headers_len(&body.headers) + body.bytes.len(),
            Self::Absent | Self::Failed(..) => 0,
        }
    }

    /// Code that was called for this id panicked.
    pub(crate) fn panicked(message: String, attempts: u32) -> Self {
        let failure = Failure::new(FailureKind::Panic, message, attempts);
        Self::Failed(failure, Blame::Id)
    }
}

/// How an id ended, as a [`Sink`](crate::Sink) writes it. It counts once it is committed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome<R> {
    /// The record, fetched and decoded.
    Stored(R),
    /// The API says that there is no such record.
    Absent,
    /// The record could not be fetched, decoded or stored.
    Failed(Failure),
}
