//! When the next request may start: all that slows the fetchers of a client down, retries included.
//!
//! - The **rate** acts always: requests start no faster than it says.
//! - A **cool-down** acts when the API answers 429, or 503 with `Retry-After`: no request starts before the time it named.
//! - The **retry budget** acts while over half of the last hundred attempts failed: retries start no faster than a fifth of the
//!   recent rate of requests, or ten a second.
//! - The **adaptive limit** acts, where it is wanted, once the API answered 503, failed widely, or did more with fewer requests in
//!   flight: no more of them are in flight than it bears.
//! - The **learned rate** acts, where adapting is wanted, once the API answered 429: requests start no faster than it accepted
//!   them of late. A 429 that names no time then asks for no cool-down, nor do the first two of an id.
//!
//! Whatever has to wait waits in line; nothing is dropped.

pub(crate) mod adaptive;
pub(crate) mod backoff;
pub(crate) mod gate;
pub(crate) mod health;
pub(crate) mod outage;
pub(crate) mod spaced;

use std::{
    cell::{Cell, RefCell},
    num::NonZeroU32,
    time::{Duration, Instant},
};

use governor::{
    Quota, RateLimiter,
    clock::{Clock, MonotonicClock},
    middleware::NoOpMiddleware,
    state::{InMemoryState, NotKeyed},
};
use tokio::{sync::Mutex, time::sleep};

use crate::ingest::{
    http::error::AttemptError,
    limits::adaptive::{Allowed, End, Window},
    limits::gate::{Gate, Place},
    limits::health::{Health, Sign},
    limits::spaced::Spaced,
};

type Limiter = RateLimiter<
    NotKeyed,
    InMemoryState,
    MonotonicClock,
    NoOpMiddleware<<MonotonicClock as Clock>::Instant>,
>;

/// After a pause, this part of a second's requests may start at once. It must cover what a timer that ticks in milliseconds
/// oversleeps, and is small enough that a burst shows in no second's count.
const BURST_SHARE: u32 = 20;

/// A burst of one makes up for nothing; so it is two as soon as that is no more than this part.
const BURST_SHARE_MAX: u32 = 10;

/// Lets requests start one by one, each no sooner than all of the above allow.
pub(crate) struct Pace {
    limiter: Option<Limiter>,
    /// Who waits, waits in line: else all would wake for each permit, and all but one go back to sleep.
    line: Mutex<()>,
    cool_until: Cell<Option<Instant>>,
    health: RefCell<Health>,
    retries: Spaced,
    adaptive: bool,
    gate: Gate,
    /// How far apart requests start, of what was learned.
    learned: Cell<Option<Duration>>,
    learned_line: Spaced,
}

impl Pace {
    /// `rate` is in requests a second; 0 is no limit.
    pub(crate) fn new(rate: u32, adaptive: bool) -> Self {
        let limiter = NonZeroU32::new(rate).map(|rate| {
            RateLimiter::direct_with_clock(
                Quota::per_second(rate).allow_burst(burst(rate)),
                MonotonicClock,
            )
        });
        Self {
            limiter,
            line: Mutex::new(()),
            cool_until: Cell::new(None),
            health: RefCell::default(),
            retries: Spaced::default(),
            adaptive,
            gate: Gate::new(),
            learned: Cell::new(None),
            learned_line: Spaced::default(),
        }
    }

    /// Resolves when the caller may start one request; it is in flight for as long as it keeps its place.
    pub(crate) async fn turn(&self, is_retry: bool) -> Place<'_> {
        if is_retry {
            let spacing = |now| self.health.borrow().retry_spacing(now);
            self.retries.turn(spacing).await;
        }
        let place = self.gate.enter().await;
        self.request_turn().await;
        place
    }

    /// Resolves when one more request may start in a place that the caller has.
    pub(crate) async fn request_turn(&self) {
        loop {
            self.cool_down().await;
            self.learned_line.turn(|_| self.learned.get()).await;
            self.rate_turn().await;
            if self.cooling().is_none() {
                return;
            }
        }
    }

    async fn rate_turn(&self) {
        let Some(limiter) = &self.limiter else { return };
        let _first_in_line = self.line.lock().await;
        while let Err(too_early) = limiter.check() {
            sleep(too_early.wait_time_from(MonotonicClock.now())).await;
        }
    }

    async fn cool_down(&self) {
        while let Some(rest) = self.cooling() {
            sleep(rest).await;
        }
    }

    /// For how long still nobody may ask.
    pub(crate) fn cooling(&self) -> Option<Duration> {
        let rest = self
            .cool_until
            .get()?
            .checked_duration_since(Instant::now())?;
        (!rest.is_zero()).then_some(rest)
    }

    /// Nobody asks again for so long, if a failure is meant for all.
    pub(crate) fn heed(&self, error: &AttemptError, attempts: u32, wait: Duration) {
        // A rate is learned from what goes on; where too little does, the third refusal of an id still stops all.
        let learns = self.adaptive && (attempts < 3 || self.learned.get().is_some());
        let waits = error.retry_after().is_some() || !learns;
        if error.is_meant_for_all() && waits {
            let until = Some(Instant::now() + wait);
            self.cool_until.set(self.cool_until.get().max(until));
        }
    }

    /// Takes an attempt's end into account.
    pub(crate) fn note<T>(
        &self,
        place: Place<'_>,
        result: &Result<T, AttemptError>,
        took: Duration,
    ) {
        self.health
            .borrow_mut()
            .note(Sign::of(result), Instant::now());
        place.ended(End::of(result), took);
    }

    /// What came of the attempts since this was asked last, for who decides how much may be asked; `None` if nobody should.
    pub(crate) fn look(&self) -> Option<Window> {
        self.adaptive.then(|| self.gate.look())
    }

    pub(crate) fn allow(&self, allowed: &Allowed) {
        let spacing = |rate: f64| Duration::from_secs_f64(1.0 / rate);
        self.learned.set(allowed.a_second.map(spacing));
        self.gate.allow(allowed.at_once);
    }

    /// For how long nothing but connect errors, timeouts and 5xx came.
    pub(crate) fn down_for(&self) -> Option<Duration> {
        self.health.borrow().down_for(Instant::now())
    }
}

/// How many requests may start at once after a pause.
fn burst(rate: NonZeroU32) -> NonZeroU32 {
    let least = (rate.get() / BURST_SHARE_MAX).clamp(1, 2);
    NonZeroU32::new((rate.get() / BURST_SHARE).max(least)).unwrap_or(NonZeroU32::MIN)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_makes_up_for_what_a_timer_oversleeps_and_is_no_more_than_a_tenth_of_a_second() {
        for (rate, expected) in [(1, 1), (19, 1), (20, 2), (59, 2), (60, 3), (1000, 50)] {
            let rate = NonZeroU32::new(rate).expect("a rate");
            assert_eq!(burst(rate).get(), expected, "{rate} a second");
        }
    }
}
