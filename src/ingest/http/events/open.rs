//! Opens an event stream: one request, with its redirects, each with a permit of the throttle.
//!
//! The permit is given back as soon as the head of the answer is there, and the connection takes no place in the pool. So an open
//! stream takes nothing from fetchers.

use std::{cell::Cell, pin::pin, time::Duration};

use hyper::{
    HeaderMap, StatusCode,
    header::{ACCEPT, ACCEPT_ENCODING, CACHE_CONTROL, CONTENT_TYPE, HeaderName, HeaderValue},
};
use tokio::time::timeout_at;

use crate::ingest::{
    http::{
        answer_head::{Redirect, redirect, unwanted_coding},
        client::Client,
        connection::HttpConnection,
        error::AttemptError,
        tally::Tally,
        target::{REDIRECTS_MAX, Target},
    },
    limits::{
        backoff::RetryPolicy,
        signal::Signal,
        throttle::{AttemptEnd, Permit, RequestKind},
    },
    priority::Priority,
    request::Request,
};

const EVENT_STREAM: &str = "text/event-stream";

const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");

/// A server that wants its clients to wait for longer than this (the field `retry`) has them wait for this long.
const RETRY_MAX: Duration = Duration::from_secs(10 * 60);

/// How a stream is opened.
pub(super) struct Opening {
    pub(super) client: Client,
    pub(super) request: Request,
    /// The id of the last event, if the server sends ids. It may send what came after that event.
    pub(super) last_id: String,
    pub(super) kind: RequestKind,
    pub(super) priority: Priority,
    pub(super) backoff: Backoff,
}

/// How long to wait before the stream is opened again.
#[derive(Clone, Copy, Debug)]
pub(super) struct Backoff {
    pub(super) policy: RetryPolicy,
    /// How often the stream was opened, or was to be, since the last event.
    pub(super) attempt: u32,
    /// How long the server wants clients to wait.
    pub(super) retry: Duration,
}

/// The stream was not opened.
#[derive(Debug)]
pub(super) struct NotOpened {
    pub(super) why: OpenError,
    pub(super) signal: Signal,
    /// How long to wait before the next attempt.
    pub(super) wait: Duration,
}

/// Why a stream was not opened.
#[derive(Debug)]
pub(super) enum OpenError {
    /// The server answers, but not with an event stream.
    NoStreams { status: u16, why: String },
    /// There was no answer, or an error.
    Attempt(AttemptError),
}

impl From<AttemptError> for OpenError {
    fn from(error: AttemptError) -> Self {
        Self::Attempt(error)
    }
}

impl Backoff {
    /// The wait after an attempt that ended with `signal`. `random` is from 0.0 to 1.0.
    ///
    /// It is never less than half of the backoff, unlike that of a fetcher: a server that ends each stream after one event would
    /// be asked again without a pause.
    pub(super) fn wait(&self, signal: Signal, random: f64) -> Duration {
        let attempt = self.attempt.max(1);
        let backoff = self.policy.wait(attempt, signal, 0.5 + random / 2.0);
        backoff + self.retry.min(RETRY_MAX)
    }
}

impl Opening {
    /// Makes one attempt. Returns the connection, with the head of the answer read.
    pub(super) async fn open(self) -> Result<Box<HttpConnection>, NotOpened> {
        let mut permit = None;
        let mut tally = Tally::begin();
        let opened = pin!(self.request(&mut permit, &mut tally)).await;
        let why = match opened {
            // The throttle learns nothing from it: to open a stream takes another time than to fetch a record.
            Ok(connection) => return Ok(connection),
            Err(why) => why,
        };
        let signal = why.signal();
        let wait = self.backoff.wait(signal, fastrand::f64());
        if let Some(permit) = permit {
            permit.finish(&AttemptEnd {
                signal,
                attempt: self.backoff.attempt,
                took: tally.took(),
                backoff: wait,
            });
        }
        Err(NotOpened { why, signal, wait })
    }

    /// Requests the stream and follows redirects. `permit` is the permit of the last request.
    async fn request<'a>(
        &'a self,
        permit: &mut Option<Permit<'a>>,
        tally: &mut Tally,
    ) -> Result<Box<HttpConnection>, OpenError> {
        let throttle = self.client.throttle();
        let mut target = self.prepare(Target::new(self.request.clone())?);
        let mut kind = self.kind;
        let mut redirects = 0;
        loop {
            // The old permit is given back first, as between the requests of any attempt.
            *permit = None;
            let acquiring = throttle.acquire(kind, self.priority, Duration::MAX);
            let acquired = tally.own_wait(acquiring).await;
            *permit = Some(acquired.map_err(AttemptError::AskedToWait)?);
            kind = RequestKind::Regular;
            let Some((connection, status)) = self.request_once(&target, tally).await? else {
                // A cool-down began while this request connected.
                continue;
            };
            if status.is_success() {
                check_head(&target, status, &connection.headers)?;
                return Ok(connection);
            }
            let Redirect { code, target: next } =
                redirect(&target, status, &connection).map_err(OpenError::of_answer)?;
            redirects += 1;
            if redirects > REDIRECTS_MAX {
                return Err(next.one_too_many(code).into());
            }
            // To another server, a redirect takes no headers along.
            target = self.prepare(next);
        }
    }

    /// Makes one request over a new connection. `None` if a cool-down began meanwhile: then nothing was sent.
    async fn request_once(
        &self,
        target: &Target,
        tally: &mut Tally,
    ) -> Result<Option<(Box<HttpConnection>, StatusCode)>, AttemptError> {
        let connections = &self.client.0.connections;
        let timeout = self.client.config().timeout;
        let deadline = tally.deadline(timeout);
        let is_connected = Cell::new(false);
        let requesting = async {
            let mut connection = connections.open_apart(target, tally).await?;
            is_connected.set(true);
            if self.client.throttle().is_cooling() {
                return Ok(None);
            }
            let status = connection.send(target).await?;
            Ok(Some((connection, status)))
        };
        let requested = timeout_at(deadline, requesting).await;
        requested.map_err(|_| {
            if is_connected.get() {
                return AttemptError::Timeout(timeout);
            }
            let place = connections.next_hop(target);
            AttemptError::ConnectTimeout { timeout, place }
        })?
    }

    /// Adds the headers that a request for an event stream has.
    fn prepare(&self, mut target: Target) -> Target {
        target
            .headers
            .insert(ACCEPT, HeaderValue::from_static(EVENT_STREAM));
        target
            .headers
            .insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        // Events are read as they come, so they must not be compressed.
        target.headers.remove(&ACCEPT_ENCODING);
        // An id that cannot be the value of a header is not sent.
        if !self.last_id.is_empty()
            && let Ok(last_id) = HeaderValue::from_bytes(self.last_id.as_bytes())
        {
            target.headers.insert(LAST_EVENT_ID, last_id);
        }
        target
    }
}

impl OpenError {
    /// Why an answer is no event stream, if it is no success.
    fn of_answer(error: AttemptError) -> Self {
        match error {
            // There is nothing here, or not as a stream.
            AttemptError::Status {
                code: status @ (404 | 405 | 406 | 410 | 501),
                note,
                ..
            } => Self::NoStreams {
                status,
                why: format!("HTTP status {status}{note}"),
            },
            error => error.into(),
        }
    }

    fn signal(&self) -> Signal {
        match self {
            Self::NoStreams { .. } => Signal::Served,
            Self::Attempt(error) => Signal::of_error(error),
        }
    }
}

/// Checks that an event stream follows the head of a success.
fn check_head(target: &Target, status: StatusCode, headers: &HeaderMap) -> Result<(), OpenError> {
    let no_streams = |why| {
        Err(OpenError::NoStreams {
            status: status.as_u16(),
            why,
        })
    };
    if status != StatusCode::OK {
        return no_streams(format!("HTTP status {}", status.as_u16()));
    }
    let Some(value) = headers.get(CONTENT_TYPE) else {
        return no_streams("an answer without a content type".to_owned());
    };
    let content_type = String::from_utf8_lossy(value.as_bytes());
    let kind = content_type.split(';').next().unwrap_or_default().trim();
    if !kind.eq_ignore_ascii_case(EVENT_STREAM) {
        let shown: String = content_type.chars().take(100).collect();
        return no_streams(format!("an answer of the content type `{shown}`"));
    }
    match unwanted_coding(target, headers) {
        Some(coding) => Err(AttemptError::Encoded(coding).into()),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ingest::config::Config;

    const SECOND: Duration = Duration::from_secs(1);

    fn backoff(attempt: u32, retry: Duration) -> Backoff {
        Backoff {
            policy: RetryPolicy::new(&Config::default()),
            attempt,
            retry,
        }
    }

    #[test]
    fn the_wait_doubles_with_each_attempt_and_is_never_less_than_half() {
        for (attempt, most) in [(0, 1), (1, 1), (2, 2), (3, 4), (6, 30), (1000, 30)] {
            let backoff = backoff(attempt, Duration::ZERO);
            let wait = |random| backoff.wait(Signal::Unreachable, random);
            assert_eq!(wait(0.0), most * SECOND / 2, "{attempt}");
            assert_eq!(wait(1.0), most * SECOND, "{attempt}");
        }
    }

    #[test]
    fn the_wait_is_at_least_what_the_server_asks_for() {
        let asks = |retry_after| Signal::Unavailable {
            retry_after: Some(retry_after),
        };
        let wait = backoff(1, Duration::ZERO).wait(asks(3600 * SECOND), 0.3);
        assert_eq!(wait, 3600 * SECOND);
        let wait = backoff(1, 5 * SECOND).wait(Signal::Unreachable, 1.0);
        assert_eq!(wait, 6 * SECOND);
        let wait = backoff(1, Duration::MAX).wait(asks(SECOND), 1.0);
        assert_eq!(wait, RETRY_MAX + SECOND);
    }

    #[test]
    fn only_the_content_type_of_event_streams_is_one() {
        let target = Target::new(Request::get("http://host/")).expect("a URL");
        let check = |status, content_type: Option<&'static str>| {
            let value = content_type.map(HeaderValue::from_static);
            let headers = value
                .map(|value| (CONTENT_TYPE, value))
                .into_iter()
                .collect();
            match check_head(&target, status, &headers) {
                Ok(()) => "a stream".to_owned(),
                Err(OpenError::NoStreams { why, .. }) => why,
                Err(OpenError::Attempt(error)) => error.to_string(),
            }
        };
        for content_type in [
            "text/event-stream",
            "text/event-stream; charset=utf-8",
            "Text/Event-Stream ;charset=utf-8",
        ] {
            assert_eq!(check(StatusCode::OK, Some(content_type)), "a stream");
        }
        for (status, content_type, expected) in [
            (
                StatusCode::OK,
                Some("application/json; charset=utf-8"),
                "an answer of the content type `application/json; charset=utf-8`",
            ),
            (
                StatusCode::OK,
                Some("text/event-streams"),
                "an answer of the content type `text/event-streams`",
            ),
            (StatusCode::OK, None, "an answer without a content type"),
            (
                StatusCode::NO_CONTENT,
                Some("text/event-stream"),
                "HTTP status 204",
            ),
        ] {
            assert_eq!(check(status, content_type), expected);
        }
    }
}
