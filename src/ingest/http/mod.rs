//! The HTTP side that the fetchers of one arbiter share: connections, pace, and the loop of attempts and waits.

pub(crate) mod attempt;
pub(crate) mod bodies;
pub(crate) mod codec;
pub(crate) mod connection;
pub(crate) mod error;
pub(crate) mod pool;
pub(crate) mod redirect;

use std::{
    pin::pin,
    rc::Rc,
    time::{Duration, Instant},
};

use awc::http::Uri;
use bytes::Bytes;
use log::debug;

use crate::ingest::{
    backlog::Unsaved,
    config::Config,
    handle::stop::Control,
    http::attempt::{Exchange, attempt},
    http::bodies::Bodies,
    http::error::AttemptError,
    http::pool::Connections,
    limits::Pace,
    limits::adaptive::{Allowed, Window},
    limits::backoff::{Decision, RetryPolicy},
    outcome::Answer,
    outcome::Failure,
    outcome::FailureKind,
};

/// Fetches URLs as the settings say: one deadline an attempt, retries with backoff, one rate for all.
///
/// Belongs to the arbiter that it was made on. Clones share connections and rate.
#[derive(Clone)]
pub struct Client(Rc<Inner>);

struct Inner {
    connections: Connections,
    bodies: Bodies,
    pace: Pace,
    policy: RetryPolicy,
    deadline: Duration,
    max_body: usize,
}

impl Client {
    /// A client with at most `config.workers` connections open.
    pub fn new(config: &Config) -> Self {
        Self(Rc::new(Inner {
            connections: Connections::new(config.workers, config.timeout),
            bodies: Bodies::default(),
            pace: Pace::new(config.rate, config.adaptive),
            policy: RetryPolicy {
                attempts: config.attempts,
                backoff: config.backoff,
                backoff_max: config.backoff_max,
            },
            deadline: config.timeout,
            max_body: usize::try_from(config.max_body).unwrap_or(usize::MAX),
        }))
    }

    /// For how long the API gave nothing but connect errors, timeouts and 5xx.
    pub(crate) fn down_for(&self) -> Option<Duration> {
        self.0.pace.down_for()
    }

    /// What came of the attempts since this was asked last, for who decides how much may be asked; `None` if nobody should.
    pub(crate) fn look(&self) -> Option<Window> {
        self.0.pace.look()
    }

    pub(crate) fn allow(&self, allowed: &Allowed) {
        self.0.pace.allow(allowed);
    }

    /// Reads one document that is no record, such as a list of ids.
    ///
    /// # Errors
    /// The failure after the last attempt.
    pub async fn get(&self, url: &str, headers: &[(String, String)]) -> Result<Bytes, Failure> {
        let (control, unsaved) = (Control::default(), Unsaved::new(1));
        let (answer, attempts) = self
            .fetch(url, url.to_owned(), headers, |_| false, &unsaved, &control)
            .await;
        let (kind, message) = match answer {
            Answer::Body(body, _) => return Ok(body),
            Answer::Failed(kind, message) => (kind, message),
            Answer::Absent | Answer::NotAttempted => (FailureKind::Status, "no answer".to_owned()),
        };
        Err(Failure {
            kind,
            message,
            attempts,
        })
    }

    /// Attempts and waits until there is an answer, or the run stops. Also says how many attempts were made.
    pub(crate) async fn fetch(
        &self,
        id: &(impl std::fmt::Display + ?Sized),
        url: String,
        headers: &[(String, String)],
        is_absent: impl Fn(u16) -> bool,
        unsaved: &Unsaved,
        control: &Control,
    ) -> (Answer, u32) {
        let Inner {
            connections,
            bodies,
            pace,
            policy,
            deadline,
            max_body,
        } = &*self.0;
        let exchange = Exchange {
            url: to_uri(url),
            headers,
            deadline: *deadline,
            max_body: *max_body,
            unsaved,
            bodies,
            pace,
        };
        let mut attempts = 0;
        let mut being_retried = None;
        loop {
            // What is large stays where it is made: each hand that it passes through would copy it.
            let turn = pin!(pace.turn(attempts > 0));
            let Some(place) = control.turn(turn).await else {
                return (Answer::NotAttempted, attempts);
            };
            attempts += 1;
            control.counters.attempt(attempts);
            let began = Instant::now();
            let request = pin!(attempt(connections, &exchange, began));
            let tried = control.in_flight(request).await;
            let took = began.elapsed();
            control.counters.attempt_took(took);
            control.counters.connections.add(connections.newly_opened());
            control.counters.resent(connections.newly_resent());
            let Some(tried) = tried else {
                return (Answer::NotAttempted, attempts);
            };
            pace.note(place, &tried, took);
            let error = match tried {
                Ok((body, room)) => {
                    control.counters.bytes.add(body.len() as u64);
                    return (Answer::Body(body, room), attempts);
                }
                Err(error) => error,
            };
            if let AttemptError::Status { code, .. } = error
                && is_absent(code)
            {
                return (Answer::Absent, attempts);
            }
            control.counters.attempt_failed(&error);
            let random = fastrand::f64();
            // Others are asked to stay away even where this id has had its last attempt.
            pace.heed(&error, attempts, policy.wait(attempts, &error, random));
            match policy.after(attempts, &error, random) {
                Decision::GiveUp => {
                    return (Answer::Failed(error.kind(), error.to_string()), attempts);
                }
                Decision::RetryAfter(wait) => {
                    being_retried.get_or_insert_with(|| control.counters.being_retried.hold());
                    debug!("{id}: attempt {attempts} failed: {error}; again in {wait:.1?}");
                    if control.sleep(wait).await.is_none() {
                        return (Answer::NotAttempted, attempts);
                    }
                }
            }
        }
    }
}

fn to_uri(url: String) -> Result<Uri, String> {
    // Of the text's own memory, mostly.
    let text = Bytes::from(url);
    Uri::from_maybe_shared(text.clone())
        .map_err(|error| format!("`{}` is no URL: {error}", String::from_utf8_lossy(&text)))
}
