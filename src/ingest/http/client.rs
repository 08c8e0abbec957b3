//! The client: makes attempts for a URL until there is an answer. Each request takes a permit; before each retry there is a wait.

use std::{
    cell::Cell,
    fmt::{self, Display},
    pin::pin,
    rc::Rc,
    time::Duration,
};

use bytes::Bytes;
use log::debug;

use crate::ingest::{
    backlog::Backlog,
    config::{Config, HttpProxy},
    handle::control::RunControl,
    http::{
        attempt::{Exchange, attempt},
        body_arena::BodyArena,
        error::AttemptError,
        pool::ConnectionPool,
        tally::Tally,
        target::Target,
    },
    limits::{
        backoff::RetryPolicy,
        cool_down::{AskedToWait, SharedCoolDown},
        signal::Signal,
        throttle::{AttemptEnd, RequestKind, Throttle},
    },
    outcome::{
        answer::{Answer, NotAnswered},
        failure::{Failure, FailureKind},
        panics::DisplayId,
    },
    stats::event::{Event, RequestEnd},
};

/// Fetches URLs, and keeps connections open between requests.
///
/// A client cannot leave its thread. Clones share connections, rate and limits. So do all pipelines that
/// [use](crate::Builder::client) the same client.
#[derive(Clone)]
pub struct Client(Rc<ClientInner>);

struct ClientInner {
    connections: ConnectionPool,
    /// Memory for small bodies.
    bodies: BodyArena,
    /// Decides when the next request of this client may start.
    throttle: Throttle,
    /// The settings of requests by [`Client::get`]. A pipeline passes its own settings.
    settings: RequestSettings,
    /// The settings that count for every user of this client. The builder compares them with the pipeline's.
    shared: SharedSettings,
}

/// The settings of requests that may differ between the users of a client.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RequestSettings {
    pub(crate) retry: RetryPolicy,
    /// The deadline of one attempt.
    pub(crate) timeout: Duration,
    /// The largest body, in bytes.
    pub(crate) max_body: usize,
    /// A request that would have to wait longer for the end of a cool-down is not made.
    pub(crate) patience: Duration,
}

impl RequestSettings {
    pub(crate) fn new(config: &Config) -> Self {
        Self {
            retry: RetryPolicy::new(config),
            timeout: config.timeout,
            max_body: usize::try_from(config.max_body).unwrap_or(usize::MAX),
            patience: config.outage_patience,
        }
    }
}

/// The settings that are the same for all users of a client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SharedSettings {
    pub(crate) proxy: HttpProxy,
    /// Requests per second; 0 is no limit.
    pub(crate) rate: u32,
    pub(crate) adaptive: bool,
}

/// What to fetch.
pub(crate) struct FetchRequest<'a, I> {
    /// The id, for logs.
    pub(crate) id: &'a I,
    pub(crate) url: String,
    pub(crate) headers: &'a [(String, String)],
    /// Whether an HTTP status means that there is no such record.
    pub(crate) is_absent: &'a dyn Fn(u16) -> bool,
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client")
            .field("settings", &self.0.settings)
            .field("shared", &self.0.shared)
            .finish_non_exhaustive()
    }
}

impl Client {
    /// A client with at most `config.workers` connections.
    pub fn new(config: &Config) -> Self {
        Self(Rc::new(ClientInner {
            connections: ConnectionPool::new(config.workers, config.proxy.clone()),
            bodies: BodyArena::default(),
            throttle: Throttle::new(config.rate, config.adaptive.then_some(config.workers)),
            settings: RequestSettings::new(config),
            shared: SharedSettings {
                proxy: config.proxy.clone(),
                rate: config.rate,
                adaptive: config.adaptive,
            },
        }))
    }

    /// The cool-down of all requests of this client.
    pub(crate) fn cool_down(&self) -> SharedCoolDown {
        self.0.throttle.cool_down()
    }

    /// The settings that are the same for all users of this client.
    pub(crate) fn shared_settings(&self) -> &SharedSettings {
        &self.0.shared
    }

    /// Fetches one document that is not a record, such as a list of ids.
    ///
    /// # Errors
    /// The failure of the last attempt.
    ///
    /// # Panics
    /// It runs outside an actix arbiter or another `LocalSet`.
    pub async fn get(&self, url: &str, headers: &[(String, String)]) -> Result<Bytes, Failure> {
        let request = FetchRequest {
            id: &url,
            url: url.to_owned(),
            headers,
            is_absent: &|_| false,
        };
        let settings = &self.0.settings;
        let backlog = Backlog::new(1);
        let control = RunControl::default();
        let attempts = Cell::new(0);
        let answer = self
            .fetch(request, settings, &backlog, &control, &attempts)
            .await;
        let (kind, message) = match answer {
            Ok(Answer::Body(body, _)) => return Ok(body),
            Ok(Answer::Failed { kind, message, .. }) => (kind, message),
            Err(NotAnswered::AskedToWait(asked)) => (FailureKind::Status, asked.to_string()),
            // This cannot happen: no status means absent here, and this run is never stopped.
            Ok(Answer::Absent) | Err(NotAnswered::Stopped) => {
                (FailureKind::Status, "no answer".to_owned())
            }
        };
        Err(Failure::new(kind, message, attempts.get()))
    }

    /// Makes attempts until there is an answer.
    ///
    /// `attempts` counts the attempts that began. It belongs to the caller, so that the count survives a panic in `is_absent`.
    pub(crate) async fn fetch<I: Display>(
        &self,
        request: FetchRequest<'_, I>,
        settings: &RequestSettings,
        backlog: &Backlog,
        control: &RunControl,
        attempts: &Cell<u32>,
    ) -> Result<Answer, NotAnswered> {
        let ClientInner {
            connections,
            bodies,
            throttle,
            ..
        } = &*self.0;
        let recorder = &control.recorder;
        let target = match Target::new(request.url, request.headers) {
            Ok(target) => target,
            Err(error) => return Ok(failed(&error)),
        };
        let exchange = Exchange {
            connections,
            bodies,
            throttle,
            backlog,
            timeout: settings.timeout,
            max_body: settings.max_body,
            patience: settings.patience,
        };
        let mut being_retried = None;
        loop {
            let kind = match attempts.get() {
                0 => RequestKind::Regular,
                _ => RequestKind::Retry,
            };
            // Large futures are pinned here, because moving one would copy it.
            let acquiring = pin!(throttle.acquire(kind, settings.patience));
            let acquired = control.wait_for_permit(acquiring).await;
            let acquired = acquired.ok_or(NotAnswered::Stopped)?;
            let mut permit = Some(acquired.map_err(NotAnswered::AskedToWait)?);
            let number = attempts.get() + 1;
            attempts.set(number);
            recorder.record_attempt(number);
            let mut tally = Tally::begin();
            let tried = {
                let _in_flight = recorder.hold_in_flight();
                let trying = pin!(attempt(&exchange, &target, &mut permit, &mut tally));
                control.stop.unless_aborted(trying).await
            };
            recorder.record(Event::ConnectionOpened, tally.connections_opened.into());
            recorder.record_resends(tally.resends);
            let took = tally.took();
            let Some(tried) = tried else {
                recorder.record_attempt_end(RequestEnd::Dropped, took);
                return Err(NotAnswered::Stopped);
            };
            let signal = Signal::of(&tried);
            let backoff = settings.retry.wait(number, signal, fastrand::f64());
            if let Some(permit) = permit {
                permit.finish(&AttemptEnd {
                    signal,
                    attempt: number,
                    took,
                    backoff,
                });
                if let Some(limit) = throttle.in_flight_limit() {
                    recorder.record_in_flight_limit(limit);
                }
            }
            control.record_signal(signal, tried.as_ref().err());
            let error = match tried {
                Ok((body, permit)) => {
                    recorder.record_attempt_end(RequestEnd::Ok, took);
                    recorder.record(Event::BodyBytes, body.len() as u64);
                    return Ok(Answer::Body(body, permit));
                }
                Err(error) => error,
            };
            recorder.record_attempt_end(RequestEnd::Failed(error.kind()), took);
            if let AttemptError::Status { code, .. } = error
                && (request.is_absent)(code)
            {
                return Ok(Answer::Absent);
            }
            recorder.record_failed_attempt(error.kind(), signal);
            if let AttemptError::AskedToWait(asked) = error {
                return Err(NotAnswered::AskedToWait(asked));
            }
            if let Some(rest) = signal.retry_after() {
                AskedToWait::check(rest, settings.patience).map_err(NotAnswered::AskedToWait)?;
            }
            let is_unsendable = matches!(error, AttemptError::Request(_));
            if is_unsendable || !settings.retry.tries_again_after(number, signal) {
                return Ok(failed(&error));
            }
            being_retried.get_or_insert_with(|| recorder.hold_being_retried());
            debug!(
                "{}: attempt {number} failed: {error}; trying again in {backoff:.1?}",
                DisplayId(request.id)
            );
            let slept = control.stop.sleep(backoff).await;
            slept.ok_or(NotAnswered::Stopped)?;
        }
    }
}

fn failed(error: &AttemptError) -> Answer {
    Answer::Failed {
        kind: error.kind(),
        message: error.to_string(),
        blame: Signal::blame(error),
    }
}
