//! The cool-down: the time in which the API wants no requests.
//!
//! A run waits until it is over, unless it is longer than the run's patience.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use thiserror::Error;
use tokio::time::Instant;

use crate::store::message::in_words;

/// Every run waits for a cool-down up to this long, whatever its patience: an ordinary backoff may be as long.
const SHORT: Duration = Duration::from_secs(10);

/// The API asked for no requests, for longer than a run waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("the API asks for no requests for the next {}", in_words(Duration::from_secs(.rest.as_secs())))]
pub(crate) struct AskedToWait {
    /// How much of that time is left.
    pub(crate) rest: Duration,
}

impl AskedToWait {
    /// Refuses a wait of `rest` if it is longer than `patience`.
    pub(crate) fn check(rest: Duration, patience: Duration) -> Result<(), Self> {
        if rest > patience.max(SHORT) {
            return Err(Self { rest });
        }
        Ok(())
    }
}

/// A span of time in which no request starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct CoolDown {
    pub(crate) from: Instant,
    pub(crate) until: Instant,
}

impl CoolDown {
    /// How much of the time between `from` and `until` it covers.
    pub(crate) fn overlap(&self, from: Instant, until: Instant) -> Duration {
        let until = until.min(self.until);
        until.saturating_duration_since(from.max(self.from))
    }
}

/// The last cool-down of a throttle. The throttle sets it; the circuit breakers of all runs on that throttle read it, since time
/// in which no request starts says nothing about the API.
#[derive(Clone, Debug, Default)]
pub(crate) struct SharedCoolDown(Arc<Mutex<Option<CoolDown>>>);

impl SharedCoolDown {
    fn lock(&self) -> MutexGuard<'_, Option<CoolDown>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The last cool-down, which may be over. `None` if there was none.
    pub(crate) fn last(&self) -> Option<CoolDown> {
        *self.lock()
    }

    /// Begins a cool-down, or makes the present one longer.
    pub(crate) fn extend(&self, now: Instant, until: Instant) {
        let mut last = self.lock();
        let (from, until) = match *last {
            Some(present) if present.until > now => (present.from, present.until.max(until)),
            _ => (now, until),
        };
        *last = Some(CoolDown { from, until });
    }

    /// How much of the present cool-down is left.
    pub(crate) fn rest(&self, now: Instant) -> Duration {
        let ends_at = self.ends_at(now);
        ends_at.map_or(Duration::ZERO, |ends_at| ends_at - now)
    }

    /// The end of the present cool-down, if there is one.
    pub(crate) fn ends_at(&self, now: Instant) -> Option<Instant> {
        let last = self.last()?;
        (last.until > now).then_some(last.until)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn a_shorter_cool_down_does_not_end_a_longer_one() {
        let (cool_down, now) = (SharedCoolDown::default(), Instant::now());
        cool_down.extend(now, now + 9 * SECOND);
        cool_down.extend(now + SECOND, now + 2 * SECOND);
        assert_eq!(cool_down.ends_at(now), Some(now + 9 * SECOND));
        assert_eq!(cool_down.ends_at(now + 9 * SECOND), None);
        assert_eq!(cool_down.last().map(|last| last.from), Some(now));
    }

    #[test]
    fn a_cool_down_after_the_last_one_is_another_one() {
        let (cool_down, now) = (SharedCoolDown::default(), Instant::now());
        cool_down.extend(now, now + SECOND);
        cool_down.extend(now + 5 * SECOND, now + 6 * SECOND);
        let last = cool_down.last().expect("a cool-down");
        assert_eq!(last.from, now + 5 * SECOND);
        assert_eq!(last.overlap(now, now + 10 * SECOND), SECOND);
        assert_eq!(last.overlap(now, now + 2 * SECOND), Duration::ZERO);
    }
}
