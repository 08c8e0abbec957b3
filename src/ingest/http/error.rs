//! The error of an attempt: why it brought no body.

use std::{error::Error, io, time::Duration};

use thiserror::Error;

use crate::ingest::{
    config::ProxyServer,
    limits::cool_down::AskedToWait,
    outcome::failure::{Failure, FailureKind},
};

/// Why an attempt brought no body. Its message becomes the message of the [`Failure`](crate::Failure).
#[derive(Debug, Error)]
pub(crate) enum AttemptError {
    /// The attempt's deadline is over.
    #[error("no whole answer within {}", humantime::format_duration(*.0))]
    Timeout(Duration),
    /// The attempt's deadline is over, and there was no connection yet.
    #[error("no connection to {place} within {}", humantime::format_duration(*.timeout))]
    ConnectTimeout {
        timeout: Duration,
        /// The server or the proxy.
        place: String,
    },
    /// No connection was made.
    #[error("cannot connect: {0}")]
    Connect(String),
    /// The proxy refuses to be used, or its setting cannot be used. Another attempt would not help.
    #[error("cannot connect: {0}")]
    Proxy(String),
    /// The connection broke, or the server sent something that is not HTTP.
    #[error("{0}")]
    Reset(String),
    /// TLS cannot be set up on this machine. Another attempt would not help.
    #[error("cannot connect: {0}")]
    TlsSetup(String),
    /// A status other than success.
    #[error("HTTP status {code}{note}")]
    Status {
        code: u16,
        retry_after: Option<Duration>,
        /// What else is known about it, after a comma. Empty if nothing is.
        note: String,
    },
    /// A redirect that is not followed.
    #[error("HTTP status {code}, and the redirect is not followed: {why}")]
    Redirect { code: u16, why: String },
    /// The body is larger than the setting `max_body`.
    #[error("the body is larger than {} bytes", .limit)]
    TooLarge { limit: usize },
    /// The API asked for no requests, for longer than the caller waits.
    #[error("{0}")]
    AskedToWait(AskedToWait),
    /// The body has a coding that was not asked for.
    #[error(
        "the body is compressed or encoded (`{0}`), which was not asked for; check what changes answers on the way (a proxy, a cache)"
    )]
    Encoded(String),
    /// The request cannot be sent at all, for example because its URL is invalid. Another attempt would not help.
    #[error("no such request can be sent: {0}")]
    Request(String),
}

impl AttemptError {
    /// The kind of failure that the id has if this was its last attempt.
    pub(crate) fn kind(&self) -> FailureKind {
        match self {
            Self::Timeout(_) | Self::ConnectTimeout { .. } => FailureKind::Timeout,
            Self::Connect(_) | Self::Proxy(_) | Self::TlsSetup(_) => FailureKind::Connect,
            Self::Request(_) => FailureKind::Request,
            Self::Reset(_) => FailureKind::Reset,
            Self::Status { .. } | Self::Redirect { .. } | Self::AskedToWait(_) => {
                FailureKind::Status
            }
            Self::TooLarge { .. } => FailureKind::Body,
            Self::Encoded(_) => FailureKind::Decode,
        }
    }

    /// Whether the server may have carried out the request. A status below 500 says that it did not, and so does 503 (RFC 9110,
    /// 15.5 and 15.6.4).
    pub(crate) fn may_be_carried_out(&self) -> bool {
        match self {
            Self::Status { code, .. } => *code >= 500 && *code != 503,
            Self::Timeout(_) | Self::Reset(_) | Self::TooLarge { .. } | Self::Encoded(_) => true,
            Self::ConnectTimeout { .. }
            | Self::Connect(_)
            | Self::Proxy(_)
            | Self::TlsSetup(_)
            | Self::Redirect { .. }
            | Self::AskedToWait(_)
            | Self::Request(_) => false,
        }
    }

    /// The failure of an id whose last attempt ended with this error.
    pub(crate) fn failure(&self, attempts: u32) -> Failure {
        Failure::new(self.kind(), self.to_string(), attempts).with_status(self.status())
    }

    /// The status that failed the attempt, if one did.
    fn status(&self) -> Option<u16> {
        match *self {
            Self::Status { code, .. } | Self::Redirect { code, .. } => Some(code),
            _ => None,
        }
    }

    /// The error for a proxy that answers with a status such as 407.
    pub(crate) fn wants_other_credentials(proxy: &ProxyServer, code: u16) -> Self {
        Self::Proxy(if proxy.authorization.is_some() {
            format!(
                "{proxy} does not accept the user name and password in its URL (HTTP status {code})"
            )
        } else {
            format!(
                "{proxy} asks for a user name and password (HTTP status {code}); name them in its URL, as in http://USER:PASSWORD@HOST:PORT"
            )
        })
    }
}

/// The text of an error, followed by the texts of its causes unless they repeat it. For TLS errors, the reason is in the causes.
pub(crate) fn with_causes(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let mut more = error.to_string();
        let is_early_end = error
            .downcast_ref::<io::Error>()
            .is_some_and(|error| error.kind() == io::ErrorKind::UnexpectedEof);
        // The text of rustls is a link to its documentation.
        if is_early_end && more.contains("close_notify") {
            more =
                "the server closed the connection without a TLS goodbye (close_notify)".to_owned();
        }
        if !text.contains(&more) {
            text = format!("{text}: {more}");
        }
        cause = error.source();
    }
    text
}
