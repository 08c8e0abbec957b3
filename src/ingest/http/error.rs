//! Why an attempt brought no body.

use std::time::Duration;

use actix_http::header::InvalidHeaderValue;
use awc::error::ConnectError;
use thiserror::Error;

use crate::ingest::{http::connection::Broken, outcome::FailureKind};

/// Why an attempt brought no body.
#[derive(Debug, Error)]
pub(crate) enum AttemptError {
    #[error("no whole answer within {}", humantime::format_duration(*.0))]
    Timeout(Duration),
    #[error("cannot connect: {0}")]
    Connect(String),
    #[error("the connection broke: {0}")]
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

    /// Whether the same request may well succeed later.
    pub(crate) fn is_transient(&self) -> bool {
        match self {
            Self::Timeout(_) | Self::Connect(_) | Self::Reset(_) => true,
            Self::Status { code, .. } => {
                matches!(code, 408 | 425 | 429 | 500 | 502 | 503 | 504)
            }
            Self::Redirect { .. } | Self::TooLarge { .. } | Self::Request(_) => false,
        }
    }

    /// Whether the server asks everybody to stay away for a while, not only this request.
    pub(crate) fn is_meant_for_all(&self) -> bool {
        matches!(self, Self::Status { code: 429, .. }) || self.retry_after().is_some()
    }

    /// How long the server asked us to stay away.
    pub(crate) fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Status { retry_after, .. } => *retry_after,
            _ => None,
        }
    }
}

impl From<ConnectError> for AttemptError {
    fn from(error: ConnectError) -> Self {
        Self::Connect(with_causes(&error))
    }
}

impl From<Broken> for AttemptError {
    fn from(error: Broken) -> Self {
        Self::Reset(with_causes(&error))
    }
}

impl From<InvalidHeaderValue> for AttemptError {
    fn from(error: InvalidHeaderValue) -> Self {
        Self::Request(error.to_string())
    }
}

/// The error and the causes below it that add something, which for TLS is where the reason stands.
fn with_causes(error: &dyn std::error::Error) -> String {
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
