//! When the next request may start: all that slows the fetchers of a client down, retries included.
//!
//! - The **rate** acts always: requests start no faster than it says.
//! - A **cool-down** acts when the API answers 429, or 503 with `Retry-After`: no request starts before the time it named.
//! - The **retry budget** acts while over half of the last hundred attempts failed: retries start no faster than a fifth of the
//!   recent rate of requests, or ten a second.
//!
//! Whatever has to wait waits in line; nothing is dropped.

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

use super::health::{Health, Sign};

type Limiter = RateLimiter<
    NotKeyed,
    InMemoryState,
    MonotonicClock,
    NoOpMiddleware<<MonotonicClock as Clock>::Instant>,
>;

/// After a pause, this part of a second's requests may start at once. It must cover what a timer that ticks in milliseconds
/// oversleeps, and is small enough that a burst shows in no second's count.
const BURST_SHARE: u32 = 20;

/// Who waits looks up so often, since the API may have recovered.
const LOOK_AGAIN: Duration = Duration::from_millis(100);

/// Lets requests start one by one, each no sooner than all of the above allow.
pub(crate) struct Pace {
    limiter: Option<Limiter>,
    /// Who waits, waits in line: else all would wake for each permit, and all but one go back to sleep.
    line: Mutex<()>,
    cool_until: Cell<Option<Instant>>,
    health: RefCell<Health>,
    retry_line: Mutex<()>,
    last_retry: Cell<Option<Instant>>,
}

impl Pace {
    /// `rate` is in requests a second; 0 is no limit.
    pub(crate) fn new(rate: u32) -> Self {
        let limiter = NonZeroU32::new(rate).map(|rate| {
            let burst = NonZeroU32::new(rate.get() / BURST_SHARE).unwrap_or(NonZeroU32::MIN);
            RateLimiter::direct_with_clock(
                Quota::per_second(rate).allow_burst(burst),
                MonotonicClock,
            )
        });
        Self {
            limiter,
            line: Mutex::new(()),
            cool_until: Cell::new(None),
            health: RefCell::default(),
            retry_line: Mutex::new(()),
            last_retry: Cell::new(None),
        }
    }

    /// Resolves when the caller may start one request.
    pub(crate) async fn turn(&self, is_retry: bool) {
        if is_retry {
            self.retry_turn().await;
        }
        loop {
            self.cool_down().await;
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

    async fn retry_turn(&self) {
        if self.health.borrow().retry_spacing(Instant::now()).is_none() {
            return;
        }
        let _first_in_line = self.retry_line.lock().await;
        loop {
            let now = Instant::now();
            let spacing = self.health.borrow().retry_spacing(now);
            let next = spacing
                .zip(self.last_retry.get())
                .map(|(spacing, last)| last + spacing);
            match next.filter(|next| *next > now) {
                Some(next) => sleep((next - now).min(LOOK_AGAIN)).await,
                None => {
                    self.last_retry.set(Some(now));
                    return;
                }
            }
        }
    }

    async fn cool_down(&self) {
        while let Some(rest) = self.cooling() {
            sleep(rest).await;
        }
    }

    fn cooling(&self) -> Option<Duration> {
        let rest = self
            .cool_until
            .get()?
            .checked_duration_since(Instant::now())?;
        (!rest.is_zero()).then_some(rest)
    }

    /// Nobody asks again for so long.
    pub(crate) fn cool_for(&self, wait: Duration) {
        let until = Some(Instant::now() + wait);
        self.cool_until.set(self.cool_until.get().max(until));
    }

    /// Takes an attempt's end into account.
    pub(crate) fn note(&self, sign: Sign) {
        self.health.borrow_mut().note(sign, Instant::now());
    }

    /// For how long nothing but connect errors, timeouts and 5xx came.
    pub(crate) fn down_for(&self) -> Option<Duration> {
        self.health.borrow().down_for(Instant::now())
    }
}
