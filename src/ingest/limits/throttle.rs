//! The throttle: one queue of requests that wait for a permit to start.

use std::{cell::RefCell, time::Duration};

use tokio::{
    sync::{Mutex, Notify},
    time::{Instant, sleep_until, timeout_at},
};

use crate::ingest::limits::{
    adaptive::AdaptiveLimits,
    rate::RateLimiter,
    retry_budget::RetryBudget,
    signal::{Refusal, Signal},
};

/// A retry that waits for its turn looks again this often whether the API has recovered.
const RECHECK: Duration = Duration::from_millis(100);

/// From this attempt of an id on, its 429 stops all requests even while a rate is being learned: too few requests go through to
/// learn from.
const COOLS_FROM_ATTEMPT: u32 = 3;

/// What a request is to the throttle.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// The first request for an id, or the next hop of an attempt.
    Regular,
    /// The first request of an id's second or later attempt.
    Retry,
}

/// How an attempt ended, as the throttle sees it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct AttemptEnd {
    pub(crate) signal: Signal,
    /// The number of the attempt among those of its id, from 1.
    pub(crate) attempt: u32,
    /// How long the attempt took, without waits of our own.
    pub(crate) took: Duration,
    /// How long this id backs off. A refusal holds back all others as long.
    pub(crate) backoff: Duration,
}

/// Gives out permits to start requests. It belongs to one client; pipelines that share the client share it.
#[derive(Debug)]
pub(crate) struct Throttle {
    /// The queue: tokio's mutex is fair. Whoever holds it is at the head.
    head: Mutex<()>,
    /// Tells the head that what it waits for may have come earlier.
    changed: Notify,
    state: RefCell<State>,
}

#[derive(Debug)]
struct State {
    cool_until: Option<Instant>,
    rate: RateLimiter,
    retry_budget: RetryBudget,
    in_flight: usize,
    /// With the setting `adaptive` only.
    adaptive: Option<AdaptiveLimits>,
    /// The moment from which the adaptive limits count time.
    epoch: Instant,
}

/// Why the head has to wait.
enum Wait {
    Until(Instant),
    /// For a request to end.
    ForRoom,
}

impl Throttle {
    /// `rate` is in requests per second, 0 is no limit; `adaptive_ceiling` is the highest in-flight limit, if limits adapt.
    pub(crate) fn new(rate: u32, adaptive_ceiling: Option<usize>) -> Self {
        let now = Instant::now();
        Self {
            head: Mutex::new(()),
            changed: Notify::new(),
            state: RefCell::new(State {
                cool_until: None,
                rate: RateLimiter::new(rate, now),
                retry_budget: RetryBudget::default(),
                in_flight: 0,
                adaptive: adaptive_ceiling.map(AdaptiveLimits::new),
                epoch: now,
            }),
        }
    }

    /// Waits until a request may start.
    pub(crate) async fn acquire(&self, kind: Kind) -> Permit<'_> {
        if kind == Kind::Retry {
            self.wait_for_retry_budget().await;
        }
        let _head = self.head.lock().await;
        loop {
            let started = self.state.borrow_mut().start(Instant::now());
            let changed = self.changed.notified();
            match started {
                Ok(()) => return Permit { throttle: self },
                // Whether the time is over or something changed: look again.
                Err(Wait::Until(time)) => _ = timeout_at(time, changed).await,
                Err(Wait::ForRoom) => changed.await,
            }
        }
    }

    async fn wait_for_retry_budget(&self) {
        let reserved = self.state.borrow_mut().retry_budget.reserve(Instant::now());
        let Some(reserved) = reserved else { return };
        loop {
            let now = Instant::now();
            if now >= reserved || self.state.borrow().retry_budget.spacing(now).is_none() {
                return;
            }
            sleep_until(reserved.min(now + RECHECK)).await;
        }
    }

    /// The end of the cool-down, if there is one.
    pub(crate) fn cool_until(&self) -> Option<Instant> {
        self.state.borrow().cool_until
    }

    pub(crate) fn is_cooling(&self) -> bool {
        self.cool_until()
            .is_some_and(|until| until > Instant::now())
    }

    /// How many requests may be in flight; `None` if any number may.
    pub(crate) fn in_flight_limit(&self) -> Option<usize> {
        self.state
            .borrow()
            .adaptive
            .as_ref()
            .map(AdaptiveLimits::in_flight_limit)
    }
}

impl State {
    /// Lets a request start, or says what it waits for.
    fn start(&mut self, now: Instant) -> Result<(), Wait> {
        if let Some(cool_until) = self.cool_until.filter(|until| *until > now) {
            return Err(Wait::Until(cool_until));
        }
        if let Some(adaptive) = &self.adaptive
            && self.in_flight >= adaptive.in_flight_limit()
        {
            return Err(Wait::ForRoom);
        }
        self.rate.take(now).map_err(Wait::Until)?;
        self.in_flight += 1;
        Ok(())
    }

    fn end(&mut self, end: &AttemptEnd, now: Instant) {
        self.retry_budget.record(end.signal, now);
        if let Some(adaptive) = &mut self.adaptive {
            adaptive.record(now - self.epoch, end.signal, end.took, self.in_flight);
            self.rate.set_learned(adaptive.learned_rate(), now);
        }
        if self.cools_down(end) {
            self.cool_until = self.cool_until.max(Some(now + end.backoff));
        }
    }

    /// Whether a refusal is meant for all requests, not only for this one.
    fn cools_down(&self, end: &AttemptEnd) -> bool {
        match end.signal {
            Signal::Refused {
                retry_after: Some(_),
                ..
            } => true,
            // While a rate is being learned, requests must go on, or there is nothing to learn from.
            Signal::Refused {
                refusal: Refusal::TooManyRequests,
                ..
            } => match &self.adaptive {
                Some(adaptive) => {
                    adaptive.learned_rate().is_none() && end.attempt >= COOLS_FROM_ATTEMPT
                }
                None => true,
            },
            _ => false,
        }
    }
}

/// The right to have one request in flight. Dropped without [`finish`](Permit::finish), it says nothing about the API.
#[derive(Debug)]
#[must_use = "the request is in flight for as long as its permit lives"]
pub(crate) struct Permit<'a> {
    throttle: &'a Throttle,
}

impl Permit<'_> {
    /// The attempt has ended.
    pub(crate) fn finish(self, end: &AttemptEnd) {
        self.throttle.state.borrow_mut().end(end, Instant::now());
    }
}

impl Drop for Permit<'_> {
    fn drop(&mut self) {
        self.throttle.state.borrow_mut().in_flight -= 1;
        self.throttle.changed.notify_one();
    }
}
