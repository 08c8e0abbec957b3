//! What the end of one attempt says about the API, and whose fault it may be that an id failed. Limits, retries, circuit breakers
//! and metrics all read this.

use std::time::Duration;

use crate::ingest::http::error::AttemptError;

/// What the end of one attempt says about the API, and so whether its id is tried again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Signal {
    /// The answer is final: a success, or an error of this one request, such as 404. The id is not tried again.
    Served,
    /// 429: the API wants fewer requests per time, and perhaps none for some time.
    TooManyRequests { retry_after: Option<Duration> },
    /// 503: the API takes no request at the moment, and perhaps none for some time. Most servers send it if there are too many
    /// requests at once.
    Unavailable { retry_after: Option<Duration> },
    /// There was no usable answer: no connection, a broken connection, no answer in time, or another 5xx status.
    Unreachable,
    /// The answer (408, 425) says nothing about the state of the API. The id is tried again.
    Neutral,
    /// The request cannot be sent: the URL, the proxy or TLS on this machine is at fault. The id is not tried again.
    Unsendable,
}

/// Whose fault it may be that an id failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Blame {
    /// The id, or code that was called for it. Other ids are not concerned.
    Id,
    /// The id, or something that refuses all requests at the moment: the API, or a proxy on the way. There was an answer without
    /// the record, or the request could not be sent.
    Refusal,
    /// The id, or an API that is out: there was no usable answer.
    Outage,
}

impl Signal {
    /// Classifies the result of an attempt.
    pub(crate) fn of<T>(result: &Result<T, AttemptError>) -> Self {
        result
            .as_ref()
            .map_or_else(Self::of_error, |_| Self::Served)
    }

    /// Classifies the error of an attempt.
    pub(crate) fn of_error(error: &AttemptError) -> Self {
        match *error {
            AttemptError::Timeout(_)
            | AttemptError::ConnectTimeout { .. }
            | AttemptError::Connect(_)
            | AttemptError::Reset(_) => Self::Unreachable,
            AttemptError::Status {
                code, retry_after, ..
            } => Self::of_status(code, retry_after),
            AttemptError::Redirect { .. }
            | AttemptError::TooLarge { .. }
            | AttemptError::Encoded(_) => Self::Served,
            AttemptError::Proxy(_) | AttemptError::TlsSetup(_) | AttemptError::Request(_) => {
                Self::Unsendable
            }
            // The API was not asked.
            AttemptError::AskedToWait(_) => Self::Neutral,
        }
    }

    fn of_status(code: u16, retry_after: Option<Duration>) -> Self {
        match code {
            429 => Self::TooManyRequests { retry_after },
            503 => Self::Unavailable { retry_after },
            408 | 425 => Self::Neutral,
            501 | 505 => Self::Served,
            500..=599 => Self::Unreachable,
            _ => Self::Served,
        }
    }

    /// Whose fault it may be that an id failed with this error, if this was its last attempt.
    pub(crate) fn blame(error: &AttemptError) -> Blame {
        match error {
            AttemptError::Request(_) => Blame::Id,
            AttemptError::Status {
                code: 404 | 410, ..
            } => Blame::Id,
            AttemptError::Status {
                code, retry_after, ..
            } if Self::of_status(*code, *retry_after).is_failure() => Blame::Outage,
            AttemptError::Timeout(_)
            | AttemptError::ConnectTimeout { .. }
            | AttemptError::Connect(_)
            | AttemptError::Reset(_) => Blame::Outage,
            AttemptError::Proxy(_)
            | AttemptError::TlsSetup(_)
            | AttemptError::Encoded(_)
            | AttemptError::Status { .. }
            | AttemptError::Redirect { .. }
            | AttemptError::TooLarge { .. }
            | AttemptError::AskedToWait(_) => Blame::Refusal,
        }
    }

    /// Whether the attempt shows that the API works: it answered, or it asked for fewer requests (429).
    pub(crate) fn shows_life(self) -> bool {
        matches!(self, Self::Served | Self::TooManyRequests { .. })
    }

    /// Whether the attempt counts toward an outage.
    pub(crate) fn is_failure(self) -> bool {
        matches!(self, Self::Unreachable | Self::Unavailable { .. })
    }

    /// Whether another attempt would end in the same way.
    pub(crate) fn is_final(self) -> bool {
        matches!(self, Self::Served | Self::Unsendable)
    }

    /// How long the API asked for no requests.
    pub(crate) fn retry_after(self) -> Option<Duration> {
        match self {
            Self::TooManyRequests { retry_after } | Self::Unavailable { retry_after } => {
                retry_after
            }
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(code: u16) -> Result<(), AttemptError> {
        Err(AttemptError::Status {
            code,
            retry_after: None,
            note: String::new(),
        })
    }

    #[test]
    fn every_end_of_an_attempt_has_one_meaning() {
        let retry_after = None;
        for (result, expected) in [
            (Ok(()), Signal::Served),
            (status(404), Signal::Served),
            (status(401), Signal::Served),
            (status(408), Signal::Neutral),
            (status(425), Signal::Neutral),
            (status(429), Signal::TooManyRequests { retry_after }),
            (status(500), Signal::Unreachable),
            (status(501), Signal::Served),
            (status(502), Signal::Unreachable),
            (status(503), Signal::Unavailable { retry_after }),
            (status(504), Signal::Unreachable),
            (status(520), Signal::Unreachable),
            (status(599), Signal::Unreachable),
            (status(505), Signal::Served),
            (
                Err(AttemptError::Timeout(Duration::ZERO)),
                Signal::Unreachable,
            ),
            (
                Err(AttemptError::Connect("refused".into())),
                Signal::Unreachable,
            ),
            (
                Err(AttemptError::Reset("closed".into())),
                Signal::Unreachable,
            ),
            (Err(AttemptError::TooLarge { limit: 1 }), Signal::Served),
            (Err(AttemptError::Encoded("gzip".into())), Signal::Served),
            (Err(AttemptError::Proxy("407".into())), Signal::Unsendable),
            (
                Err(AttemptError::Request("no URL".into())),
                Signal::Unsendable,
            ),
        ] {
            assert_eq!(Signal::of(&result), expected, "{result:?}");
        }
    }

    #[test]
    fn a_refusal_keeps_the_time_that_the_api_named() {
        let retry_after = Some(Duration::from_secs(7));
        for code in [429, 503] {
            let error: Result<(), _> = Err(AttemptError::Status {
                code,
                retry_after,
                note: String::new(),
            });
            assert_eq!(Signal::of(&error).retry_after(), retry_after, "{code}");
        }
    }

    #[test]
    fn a_failed_id_is_itself_to_blame_or_an_api_that_refuses_or_is_out() {
        let blame = |code| match status(code) {
            Err(error) => Signal::blame(&error),
            Ok(()) => unreachable!("it is an error"),
        };
        assert_eq!([404, 410].map(blame), [Blame::Id; 2]);
        assert_eq!([401, 403, 429, 451, 501].map(blame), [Blame::Refusal; 5]);
        assert_eq!([500, 502, 503, 522, 599].map(blame), [Blame::Outage; 5]);
        let error = AttemptError::Reset("closed".into());
        assert_eq!(Signal::blame(&error), Blame::Outage);
    }

    #[test]
    fn a_429_shows_life_and_a_503_does_not() {
        assert!(Signal::of(&status(429)).shows_life());
        assert!(!Signal::of(&status(429)).is_failure());
        assert!(Signal::of(&status(503)).is_failure());
        assert!(!Signal::of(&status(408)).shows_life() && !Signal::of(&status(408)).is_failure());
    }
}
