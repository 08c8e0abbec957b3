//! Fetches a URL: makes attempts until there is an answer. Each request takes a permit; before each retry there is a wait.

use std::{cell::Cell, fmt::Display, pin::pin};

use log::debug;
use tokio::time::{Instant, sleep_until};

use crate::ingest::{
    backlog::Backlog,
    config::Config,
    handle::control::RunControl,
    http::{
        attempt::{Exchange, attempt},
        client::Client,
        error::AttemptError,
        refresh::{Generation, RefreshFailure, Refresher},
        tally::Tally,
        target::Target,
    },
    limits::{
        backoff::RetryPolicy,
        cool_down::AskedToWait,
        signal::{Blame, Signal},
        throttle::{AttemptEnd, Permit, RequestKind},
    },
    outcome::{
        answer::{Answer, AttemptsSoFar, NotAnswered},
        failure::Failure,
        panics::DisplayId,
    },
    request::Request,
    stats::event::{Event, RequestEnd},
};

/// What to fetch.
pub(crate) struct FetchRequest<'a, I> {
    /// The id, for logs.
    pub(crate) id: &'a I,
    /// The first attempt does not start before this time.
    pub(crate) next_at: Option<Instant>,
    /// Makes the request of one attempt.
    pub(crate) request: &'a dyn Fn() -> Request,
    /// Whether the source decodes answers with this HTTP status.
    pub(crate) is_answer: &'a dyn Fn(u16) -> bool,
    /// Whether answers keep their headers.
    pub(crate) wants_headers: bool,
    /// Whether an HTTP status means that there is no such record.
    pub(crate) is_absent: &'a dyn Fn(u16) -> bool,
    /// Renews what requests need, if the source can do that.
    pub(crate) refresher: Option<&'a Refresher>,
}

/// An attempt that may start now.
struct ReadyAttempt<'a> {
    permit: Permit<'a>,
    target: Target,
    /// How many refreshes had ended when the request was made.
    generation: Option<Generation>,
}

impl Client {
    /// Makes attempts until there is an answer.
    ///
    /// `attempts` counts the attempts that began. It belongs to the caller, so that the count survives a panic in the source's
    /// code.
    pub(crate) async fn fetch<I: Display>(
        &self,
        request: FetchRequest<'_, I>,
        config: &Config,
        backlog: &Backlog,
        control: &RunControl,
        attempts: &Cell<u32>,
    ) -> Result<Answer, NotAnswered> {
        let retry_policy = RetryPolicy::new(config);
        let recorder = &control.recorder;
        let exchange = Exchange {
            client: self,
            config,
            backlog,
            priority: control.priority,
            is_answer: request.is_answer,
            wants_headers: request.wants_headers,
        };
        let mut next_at = request.next_at;
        let mut being_retried = None;
        loop {
            let so_far = AttemptsSoFar {
                begun: attempts.get(),
                next_at,
            };
            if so_far.begun > 0 {
                being_retried.get_or_insert_with(|| recorder.hold_being_retried());
            }
            if let Some(at) = next_at {
                control.wait_to_start(sleep_until(at), so_far).await?;
            }
            // Large futures are pinned here, because moving one would copy it.
            let starting = pin!(self.start_attempt(&request, config, control, so_far));
            let ReadyAttempt {
                permit,
                target,
                generation,
            } = match starting.await? {
                Ok(ready) => ready,
                Err(error) => return Ok(failed(&error, so_far.begun)),
            };
            let mut permit = Some(permit);
            let number = so_far.begun + 1;
            attempts.set(number);
            recorder.record_attempt(number);
            let mut tally = Tally::begin();
            let tried = {
                let _in_flight = recorder.hold_in_flight();
                let trying = pin!(attempt(&exchange, &target, &mut permit, &mut tally));
                control.stop.unless_aborted(trying).await
            };
            recorder.record(Event::ConnectionOpened, tally.connections_opened.into());
            if tally.is_resent {
                recorder.record_resend();
            }
            let took = tally.took();
            let Some(tried) = tried else {
                recorder.record_attempt_end(RequestEnd::Dropped, took);
                return Err(NotAnswered::Stopped);
            };
            // If a refresh may help, the API is not at fault. That it answered shows that it works.
            let refresh = match &tried {
                Err(AttemptError::Status { code, .. }) => request
                    .refresher
                    .filter(|refresher| refresher.helps_after(*code))
                    .zip(generation),
                _ => None,
            };
            let signal = match refresh {
                Some(_) => Signal::Served,
                None => Signal::of(&tried),
            };
            let backoff = retry_policy.wait(number, signal, fastrand::f64());
            // Before `finish`: if this attempt failed after a cool-down, that cool-down did not help, and the next one begins only
            // now.
            control.record_signal(signal, tried.as_ref().err());
            if let Some(permit) = permit {
                permit.finish(&AttemptEnd {
                    signal,
                    attempt: number,
                    took,
                    backoff,
                });
                if let Some(limit) = self.throttle().in_flight_limit() {
                    recorder.record_in_flight_limit(limit);
                }
            }
            let error = match tried {
                Ok(body) => {
                    recorder.record_attempt_end(RequestEnd::Ok, took);
                    recorder.record(Event::BodyBytes, body.bytes.len() as u64);
                    return Ok(Answer::Body(body));
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
            let may_be_carried_out = tally.is_carried_out || error.may_be_carried_out();
            let must_not_repeat = target.is_once && may_be_carried_out;
            if let Some((refresher, generation)) = refresh {
                // Even after an id's last attempt: the ids that follow need it.
                refresher.start(generation);
                if number >= config.attempts {
                    return Ok(failed(&error, number));
                }
                if must_not_repeat {
                    return Ok(failed_once(&error, number));
                }
                being_retried.get_or_insert_with(|| recorder.hold_being_retried());
                next_at = None;
                debug!(
                    "{}: attempt {number} failed: {error}; trying again after a refresh",
                    DisplayId(request.id)
                );
                let refreshed = control.stop.unless_stopping(refresher.result()).await;
                if let Err(failure) = refreshed.ok_or(NotAnswered::Stopped)? {
                    let RefreshFailure {
                        kind,
                        message,
                        blame,
                    } = failure;
                    let failure = Failure {
                        kind,
                        message: format!("{error}, and {message}"),
                        ..error.failure(number)
                    };
                    return Ok(Answer::Failed(failure, blame));
                }
                continue;
            }
            if must_not_repeat && signal != Signal::Served {
                return Ok(failed_once(&error, number));
            }
            if let Some(rest) = signal.retry_after() {
                AskedToWait::check(rest, config.outage_patience)
                    .map_err(NotAnswered::AskedToWait)?;
            }
            if !retry_policy.tries_again_after(number, signal) {
                return Ok(failed(&error, number));
            }
            debug!(
                "{}: attempt {number} failed: {error}; trying again in {backoff:.1?}",
                DisplayId(request.id)
            );
            next_at = Some(Instant::now() + backoff);
        }
    }

    /// Waits until an attempt may start, and makes its request then: what the request needs may have been renewed during the
    /// wait. The inner error is that of a request that cannot be sent.
    async fn start_attempt<I>(
        &self,
        request: &FetchRequest<'_, I>,
        config: &Config,
        control: &RunControl,
        so_far: AttemptsSoFar,
    ) -> Result<Result<ReadyAttempt<'_>, AttemptError>, NotAnswered> {
        let kind = match so_far.begun {
            0 => RequestKind::Regular,
            _ => RequestKind::Retry,
        };
        let under_way = || {
            request
                .refresher
                .filter(|refresher| refresher.is_under_way())
        };
        loop {
            if let Some(refresher) = under_way() {
                let waiting = refresher.wait_while_under_way();
                control.wait_to_start(waiting, so_far).await?;
            }
            let acquiring = pin!(self.throttle().acquire(
                kind,
                control.priority,
                config.outage_patience
            ));
            let acquired = control.wait_for_permit(acquiring, so_far).await?;
            let permit = acquired.map_err(NotAnswered::AskedToWait)?;
            // A refresh may have begun meanwhile. Its own requests may need a permit of this client, so none is kept while
            // waiting.
            if under_way().is_some() {
                permit.give_back();
                continue;
            }
            let generation = request.refresher.map(Refresher::generation);
            return Ok(match Target::new((request.request)()) {
                Ok(target) => Ok(ReadyAttempt {
                    permit,
                    target,
                    generation,
                }),
                Err(error) => {
                    permit.give_back();
                    Err(error)
                }
            });
        }
    }
}

/// The failure of a request that must not be sent twice, and that the server may have carried out.
fn failed_once(error: &AttemptError, attempts: u32) -> Answer {
    let failure = Failure {
        message: format!("{error}, and the request must not be sent twice"),
        ..error.failure(attempts)
    };
    // With another blame, the id might be tried again after an outage.
    Answer::Failed(failure, Blame::Id)
}

fn failed(error: &AttemptError, attempts: u32) -> Answer {
    Answer::Failed(error.failure(attempts), Signal::blame(error))
}
