//! What an id came to. Pure data.

pub(crate) mod report;

pub(crate) mod display_id;

use std::{fmt, str::FromStr};

use bytes::Bytes;
use thiserror::Error;

use crate::ingest::backlog::BytesRoom;

/// What an id came to, as it is handed to a [`Sink`](crate::Sink).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome<R> {
    /// The record was fetched and decoded.
    Stored(R),
    /// The API says that there is no such record.
    Absent,
    /// No record could be had, or it could not be stored.
    Failed(Failure),
}

/// What came of the attempts for one URL.
#[derive(Debug)]
pub(crate) enum Answer {
    Body(Bytes, BytesRoom),
    Absent,
    Failed(FailureKind, String),
    /// The run was stopped before there was an answer.
    NotAttempted,
}

/// Why an id failed.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{kind}: {message} (attempts: {attempts})")]
pub struct Failure {
    /// What sort of failure it was.
    pub kind: FailureKind,
    /// What happened, for a person to read.
    pub message: String,
    /// Attempts that were made, the first included.
    pub attempts: u32,
}

/// The sorts of failure. Their names are part of the contract: they stand in the database and in reports.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum FailureKind {
    /// An attempt took longer than its deadline.
    Timeout,
    /// No connection could be made.
    Connect,
    /// The connection broke, or what came over it was no HTTP.
    Reset,
    /// An HTTP status that is no success.
    Status,
    /// The body was larger than the limit.
    Body,
    /// The body was not what the source can decode.
    Decode,
    /// Code of the source or a fetcher panicked. (A sink that panics is `Storage`.)
    Panic,
    /// The database, or the sink, refused this record.
    Storage,
}

impl FailureKind {
    /// Every kind, in the order of [`FailureKind::index`].
    pub const ALL: [Self; 8] = [
        Self::Timeout,
        Self::Connect,
        Self::Reset,
        Self::Status,
        Self::Body,
        Self::Decode,
        Self::Panic,
        Self::Storage,
    ];

    /// The name that stands in the database and in reports.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Timeout => "timeout",
            Self::Connect => "connect",
            Self::Reset => "reset",
            Self::Status => "status",
            Self::Body => "body",
            Self::Decode => "decode",
            Self::Panic => "panic",
            Self::Storage => "storage",
        }
    }

    /// Position in [`FailureKind::ALL`].
    pub fn index(self) -> usize {
        self as usize
    }
}

impl fmt::Display for FailureKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A text that names no failure kind.
#[derive(Debug, Error, PartialEq, Eq)]
#[error(
    "`{0}` is no failure kind; there are timeout, connect, reset, status, body, decode, panic, storage"
)]
pub struct UnknownKind(String);

impl FromStr for FailureKind {
    type Err = UnknownKind;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::ALL
            .into_iter()
            .find(|kind| kind.as_str() == text)
            .ok_or_else(|| UnknownKind(text.to_owned()))
    }
}

/// What a panic carried, as text.
pub(crate) fn panic_message(panic: &(dyn std::any::Any + Send)) -> String {
    panic
        .downcast_ref::<&str>()
        .map(|text| (*text).to_owned())
        .or_else(|| panic.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "a panic without a message".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_is_found_again_by_its_name_and_its_index() {
        for (index, kind) in FailureKind::ALL.into_iter().enumerate() {
            assert_eq!(kind.as_str().parse(), Ok(kind));
            assert_eq!(kind.index(), index);
        }
        assert!("Timeout".parse::<FailureKind>().is_err());
    }
}
