//! Why an id failed.

use std::{fmt, str::FromStr, time::Duration};

use thiserror::Error;

/// Why an id failed.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{kind}: {message} (attempts: {attempts})")]
#[non_exhaustive]
pub struct Failure {
    /// The kind of failure.
    pub kind: FailureKind,
    /// What happened, for a person to read.
    pub message: String,
    /// Attempts made, the first included.
    pub attempts: u32,
    /// The HTTP status of the last attempt's answer, if that is what failed.
    pub status: Option<u16>,
    /// How long the API asks for no requests, if that is why there was no further attempt.
    pub asked_to_wait: Option<Duration>,
}

impl Failure {
    /// A failure after `attempts` attempts.
    pub fn new(kind: FailureKind, message: impl Into<String>, attempts: u32) -> Self {
        Self {
            kind,
            message: message.into(),
            attempts,
            status: None,
            asked_to_wait: None,
        }
    }

    /// The same failure, with the HTTP status of the answer.
    #[must_use]
    pub fn with_status(mut self, status: Option<u16>) -> Self {
        self.status = status;
        self
    }
}

/// The kinds of failure. Their names are stored in databases and printed in reports, so they do not change.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum FailureKind {
    /// An attempt took longer than its deadline.
    Timeout,
    /// No connection could be made.
    Connect,
    /// The connection broke, or its bytes were not HTTP.
    Reset,
    /// The API answered with an HTTP status other than success.
    Status,
    /// The body was larger than the limit.
    Body,
    /// The source could not decode the body.
    Decode,
    /// The request cannot be sent: its URL or one of its headers is invalid.
    Request,
    /// The code of the source, the id or a fetcher panicked. (A panic of the sink is `Storage`.)
    Panic,
    /// The database or the sink refused this record.
    Storage,
}

impl FailureKind {
    /// How many kinds there are.
    pub(crate) const COUNT: usize = 9;

    /// Every kind.
    pub const ALL: &[Self] = &[
        Self::Timeout,
        Self::Connect,
        Self::Reset,
        Self::Status,
        Self::Body,
        Self::Decode,
        Self::Request,
        Self::Panic,
        Self::Storage,
    ];

    /// The name that is used in databases and reports.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Timeout => "timeout",
            Self::Connect => "connect",
            Self::Reset => "reset",
            Self::Status => "status",
            Self::Body => "body",
            Self::Decode => "decode",
            Self::Request => "request",
            Self::Panic => "panic",
            Self::Storage => "storage",
        }
    }

    /// Position in [`FailureKind::ALL`].
    pub(crate) fn index(self) -> usize {
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
    "`{0}` is not a failure kind; the kinds are timeout, connect, reset, status, body, decode, request, panic, storage"
)]
pub struct UnknownKind(String);

impl FromStr for FailureKind {
    type Err = UnknownKind;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::ALL
            .iter()
            .copied()
            .find(|kind| kind.as_str() == text)
            .ok_or_else(|| UnknownKind(text.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_can_be_parsed_from_its_name_and_has_its_index_in_all() {
        assert_eq!(FailureKind::ALL.len(), FailureKind::COUNT);
        for (index, kind) in FailureKind::ALL.iter().copied().enumerate() {
            assert_eq!(kind.as_str().parse(), Ok(kind));
            assert_eq!(kind.index(), index);
        }
        assert!("Timeout".parse::<FailureKind>().is_err());
    }

    #[test]
    fn the_message_for_an_unknown_kind_lists_them_all() {
        let message = UnknownKind("x".to_owned()).to_string();
        for kind in FailureKind::ALL {
            assert!(message.contains(kind.as_str()), "{kind}");
        }
    }
}
