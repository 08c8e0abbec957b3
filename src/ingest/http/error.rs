//! Why an attempt brought no body.

use std::{error::Error, time::Duration};

use thiserror::Error;

use crate::ingest::outcome::failure::FailureKind;

/// Why an attempt brought no body.
#[derive(Debug, Error)]
pub(crate) enum AttemptError {
    #[error("no whole answer within {}", humantime::format_duration(*.0))]
    Timeout(Duration),
    #[error("cannot connect: {0}")]
    Connect(String),
    /// The connection broke, or what came over it was not HTTP.
    #[error("{0}")]
    Reset(String),
    #[error("HTTP status {code}")]
    Status {
        code: u16,
        retry_after: Option<Duration>,
    },
    #[error("HTTP status {code}, and the redirect is not followed: {why}")]
    Redirect { code: u16, why: String },
    #[error("the body is larger than {} bytes", .limit)]
    TooLarge { limit: usize },
    /// Nothing was sent, and nothing ever can be.
    #[error("no such request can be sent: {0}")]
    Request(String),
}

impl AttemptError {
    pub(crate) fn kind(&self) -> FailureKind {
        match self {
            Self::Timeout(_) => FailureKind::Timeout,
            Self::Connect(_) | Self::Request(_) => FailureKind::Connect,
            Self::Reset(_) => FailureKind::Reset,
            Self::Status { .. } | Self::Redirect { .. } => FailureKind::Status,
            Self::TooLarge { .. } => FailureKind::Body,
        }
    }
}

/// An error and those of its causes that add something. For TLS, the reason is in the causes.
pub(crate) fn with_causes(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let more = error.to_string();
        if !text.contains(&more) {
            text = format!("{text}: {more}");
        }
        cause = error.source();
    }
    text
}
