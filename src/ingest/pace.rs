//! When the next request may start: one rate for all fetchers of a client, retries included.

use std::num::NonZeroU32;

use governor::{
    Quota, RateLimiter,
    clock::{Clock, MonotonicClock},
    middleware::NoOpMiddleware,
    state::{InMemoryState, NotKeyed},
};
use tokio::sync::Mutex;

type Limiter = RateLimiter<
    NotKeyed,
    InMemoryState,
    MonotonicClock,
    NoOpMiddleware<<MonotonicClock as Clock>::Instant>,
>;

/// After a pause, this part of a second's requests may start at once. It must cover what a timer that ticks in milliseconds
/// oversleeps, and is small enough that a burst shows in no second's count.
const BURST_SHARE: u32 = 20;

/// Lets requests start one by one, each no sooner than the rate allows.
pub(crate) struct Pace {
    limiter: Option<Limiter>,
    /// Who waits, waits in line: else all would wake for each permit, and all but one go back to sleep.
    line: Mutex<()>,
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
        }
    }

    /// Resolves when the caller may start one request.
    pub(crate) async fn turn(&self) {
        let Some(limiter) = &self.limiter else { return };
        let _first_in_line = self.line.lock().await;
        while let Err(too_early) = limiter.check() {
            tokio::time::sleep(too_early.wait_time_from(MonotonicClock.now())).await;
        }
    }
}
