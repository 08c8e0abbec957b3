//! An event stream that connects again whenever it breaks.

use std::{fmt, panic::resume_unwind, time::Duration};

use thiserror::Error;
use tokio::time::{Instant, sleep_until};
use tokio_util::task::AbortOnDropHandle;

use crate::ingest::{
    http::{
        client::Client,
        connection::HttpConnection,
        events::{
            connection::{EventConnection, Lost},
            open::{Backoff, NotOpened, OpenError, Opening},
            parser::{EventParser, ServerEvent},
        },
    },
    limits::{backoff::RetryPolicy, signal::Signal, throttle::RequestKind},
    outcome::failure::{Failure, FailureKind},
    priority::Priority,
    request::Request,
};

/// A connection counts as dead after this long without a byte, unless [`EventStream::idle_timeout`] says otherwise. Servers
/// commonly send something every 15 or 30 seconds.
const IDLE_TIMEOUT: Duration = Duration::from_secs(45);

/// An event stream (server-sent events) that connects again whenever it breaks. [`Client::events`] makes one.
///
/// [Event streams](crate::guide::streams#event-streams) in the guide has an example and says what it does in detail.
pub struct EventStream {
    client: Client,
    /// Makes the request of each connect.
    request: Box<dyn Fn() -> Request>,
    idle_timeout: Duration,
    /// The most bytes of a line or an event.
    max_event: usize,
    priority: Priority,
    state: State,
    /// How often the stream was opened, or was to be, since the last event.
    attempt: u32,
    /// Whether the last attempt to open it failed.
    is_retry: bool,
    /// The id of the last event. Empty if there was none.
    last_id: String,
    /// How long the server wants clients to wait before they connect again.
    retry: Duration,
}

enum State {
    /// Not connected. `None` before the first attempt.
    Waiting {
        until: Option<Instant>,
    },
    Opening(OpeningTask),
    Open(Box<EventConnection>),
}

/// Opens the stream in a task of its own. Otherwise a caller that is busy elsewhere could hold up other requests of the client,
/// which wait behind this one for a permit.
type OpeningTask = AbortOnDropHandle<Result<Box<HttpConnection>, NotOpened>>;

/// What [`EventStream::next`] returns.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum EventStreamItem {
    /// A connection is open. This comes before the events of each connection.
    ///
    /// **Most servers have no replay:** what they announced since the last event of the connection before is lost.
    Opened,
    /// An event.
    Event(ServerEvent),
    /// The connection broke, or was not made. The next call of `next` goes on with it.
    #[non_exhaustive]
    Interrupted {
        /// Why. Its attempts are those since the last event.
        failure: Failure,
        /// How long the stream waits before it connects again. The throttle of the client may make it wait longer.
        wait: Duration,
    },
}

/// Connecting again would not help. If [`EventStream::next`] is called again nevertheless, it does so after a while.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum EventStreamError {
    /// The server answers this URL, but with no event stream: with another content type, or with a status such as 404 or 406.
    /// Poll the URL instead.
    #[error("the server has no event stream here: {0}")]
    NoStreams(Failure),
    /// The request cannot be sent, or the server refuses it, with status 403 for example.
    #[error("the event stream cannot be opened: {0}")]
    Refused(Failure),
}

impl EventStreamError {
    /// What happened.
    pub fn failure(&self) -> &Failure {
        match self {
            Self::NoStreams(failure) | Self::Refused(failure) => failure,
        }
    }
}

impl Client {
    /// A stream of server-sent events. It connects at the first call of [`EventStream::next`], and again whenever the connection
    /// breaks.
    ///
    /// Each connect takes a permit of this client: it keeps to the rate and to waits that the API asked for. An open stream takes
    /// nothing from other requests: it counts neither as a request in flight nor among the connections of the pool.
    ///
    /// ```no_run
    /// use hn_ingest::{Client, Config, EventStreamError, EventStreamItem};
    ///
    /// # async fn follow() -> Result<(), EventStreamError> {
    /// let client = Client::new(&Config::default());
    /// let mut events = client.events("https://api.test/updates.json", &[]);
    /// loop {
    ///     match events.next().await? {
    ///         EventStreamItem::Opened => println!("fetch again what may have changed meanwhile"),
    ///         EventStreamItem::Event(event) => println!("{}: {}", event.name, event.data),
    ///         EventStreamItem::Interrupted { failure, wait, .. } => println!("{failure}; again in {wait:?}"),
    ///         _ => {}
    ///     }
    /// }
    /// # }
    /// ```
    pub fn events(&self, url: &str, headers: &[(String, String)]) -> EventStream {
        let request = Request::get(url).headers(headers.iter().cloned());
        self.events_of(move || request.clone())
    }

    /// The event stream of a request, which is made anew for each connect.
    pub(crate) fn events_of(&self, request: impl Fn() -> Request + 'static) -> EventStream {
        EventStream {
            client: self.clone(),
            request: Box::new(request),
            idle_timeout: IDLE_TIMEOUT,
            max_event: self.config().max_body_len(),
            priority: Priority::default(),
            state: State::Waiting { until: None },
            attempt: 0,
            is_retry: false,
            last_id: String::new(),
            retry: Duration::ZERO,
        }
    }
}

impl EventStream {
    /// Takes a connection for dead after this long without a byte. The default is 45 seconds.
    #[must_use]
    pub fn idle_timeout(mut self, idle_timeout: Duration) -> Self {
        self.idle_timeout = idle_timeout;
        self
    }

    /// The most bytes of a line or an event. A longer one ends the connection. The default is
    /// [`Config::max_body`](crate::Config::max_body).
    #[must_use]
    pub fn max_event(mut self, max_event: usize) -> Self {
        self.max_event = max_event;
        self
    }

    /// The priority with which it waits for its permits. The default is [`Priority::Normal`].
    #[must_use]
    pub fn priority(mut self, priority: Priority) -> Self {
        self.priority = priority;
        self
    }

    /// The next event or change of the connection. There is always a next one.
    ///
    /// If the future is dropped, nothing is lost, so this can be a branch of `select!`. Dropping the stream closes its
    /// connection.
    ///
    /// # Errors
    /// Connecting again would not help: there is no event stream here, or the server refuses the request.
    ///
    /// # Panics
    /// It runs outside an actix arbiter or another `LocalSet`.
    pub async fn next(&mut self) -> Result<EventStreamItem, EventStreamError> {
        loop {
            match &mut self.state {
                State::Waiting { until } => {
                    if let Some(until) = *until {
                        sleep_until(until).await;
                    }
                    self.attempt = self.attempt.saturating_add(1);
                    let task = actix_rt::spawn(self.opening().open());
                    self.state = State::Opening(AbortOnDropHandle::new(task));
                }
                State::Opening(task) => {
                    let opened = match task.await {
                        Ok(opened) => opened,
                        Err(error) if error.is_panic() => resume_unwind(error.into_panic()),
                        Err(_) => {
                            self.wait_for(Duration::ZERO);
                            let message = "the arbiter of the event stream has ended";
                            let failure = self.failure(FailureKind::Connect, message.to_owned());
                            return Err(EventStreamError::Refused(failure));
                        }
                    };
                    self.is_retry = opened.is_err();
                    return match opened {
                        Ok(http) => {
                            let parser = EventParser::new(self.max_event, self.last_id.clone());
                            let connection = EventConnection::new(http, parser);
                            self.state = State::Open(Box::new(connection));
                            Ok(EventStreamItem::Opened)
                        }
                        Err(not_opened) => self.not_opened(not_opened),
                    };
                }
                State::Open(connection) => {
                    let next = connection.next_event(self.idle_timeout).await;
                    let parser = connection.parser();
                    parser.last_id().clone_into(&mut self.last_id);
                    self.retry = parser.retry().unwrap_or(self.retry);
                    return Ok(match next {
                        Ok(event) => {
                            self.attempt = 0;
                            EventStreamItem::Event(event)
                        }
                        Err(lost) => self.lost(lost),
                    });
                }
            }
        }
    }

    /// Closes the connection, if there is one. The next call of [`next`](Self::next) connects again, `wait` from now at the
    /// earliest. For an event that says that the server will send no more, such as Firebase's `cancel`.
    pub fn close_for(&mut self, wait: Duration) {
        self.wait_for(wait);
    }

    fn opening(&self) -> Opening {
        Opening {
            client: self.client.clone(),
            request: (self.request)(),
            last_id: self.last_id.clone(),
            kind: if self.is_retry {
                RequestKind::Retry
            } else {
                RequestKind::Regular
            },
            priority: self.priority,
            backoff: self.backoff(),
        }
    }

    fn backoff(&self) -> Backoff {
        Backoff {
            policy: RetryPolicy::new(self.client.config()),
            attempt: self.attempt,
            retry: self.retry,
        }
    }

    /// The connection broke.
    fn lost(&mut self, Lost { kind, message }: Lost) -> EventStreamItem {
        let wait = self.backoff().wait(Signal::Unreachable, fastrand::f64());
        self.wait_for(wait);
        EventStreamItem::Interrupted {
            failure: self.failure(kind, message),
            wait,
        }
    }

    /// No connection was made, or the server answered with something else than an event stream.
    fn not_opened(
        &mut self,
        NotOpened { why, signal, wait }: NotOpened,
    ) -> Result<EventStreamItem, EventStreamError> {
        self.wait_for(wait);
        let error = match why {
            OpenError::NoStreams { status, why } => {
                let failure = self.failure(FailureKind::Status, why);
                return Err(EventStreamError::NoStreams(
                    failure.with_status(Some(status)),
                ));
            }
            OpenError::Attempt(error) => error,
        };
        let failure = error.failure(self.attempt);
        if signal.is_final() {
            return Err(EventStreamError::Refused(failure));
        }
        Ok(EventStreamItem::Interrupted { failure, wait })
    }

    fn wait_for(&mut self, wait: Duration) {
        // This closes the connection.
        self.state = State::Waiting {
            until: Some(Instant::now() + wait),
        };
    }

    fn failure(&self, kind: FailureKind, message: String) -> Failure {
        Failure::new(kind, message, self.attempt)
    }
}

/// URL, headers and events may hold secrets, so they are not printed.
impl fmt::Debug for EventStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = match self.state {
            State::Waiting { .. } => "waiting",
            State::Opening(_) => "opening",
            State::Open(_) => "open",
        };
        f.debug_struct("EventStream")
            .field("state", &state)
            .field("idle_timeout", &self.idle_timeout)
            .field("priority", &self.priority)
            .finish_non_exhaustive()
    }
}
