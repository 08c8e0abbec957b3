//! Limits how many requests start in a second: a token bucket whose rate may change. Pure.

use std::time::Duration;

use tokio::time::Instant;

/// After a pause, this part of a second's requests may start at once. A burst makes up for timers that are up to a millisecond
/// late. It is so small that no second has visibly more requests than the rate allows.
const BURST_SECONDS: f64 = 0.05;

/// A burst of one request cannot make up for a late timer. So a burst is at least two requests, unless two are more than this
/// part of a second's requests.
const BURST_SECONDS_MAX: f64 = 0.1;

/// A token bucket. It stores one time: when the bucket is full again (the generic cell rate algorithm, GCRA).
#[derive(Debug)]
pub(crate) struct RateLimiter {
    /// The rate of the settings, in requests per second.
    configured: Option<f64>,
    /// The rate that the API was found to accept. The lower of both counts.
    learned: Option<f64>,
    /// When the bucket is full, if no more tokens are taken.
    full_at: Instant,
}

impl RateLimiter {
    /// `rate` is in requests per second; 0 is no limit.
    pub(crate) fn new(rate: u32, now: Instant) -> Self {
        Self {
            configured: (rate > 0).then_some(f64::from(rate)),
            learned: None,
            full_at: now,
        }
    }

    /// Changes the rate of the settings, in requests per second; 0 is no limit.
    pub(crate) fn set_configured(&mut self, rate: f64, now: Instant) {
        self.configured = (rate > 0.0).then_some(rate);
        self.forgive_debt(now);
    }

    /// Sets or removes the learned rate.
    pub(crate) fn set_learned(&mut self, learned: Option<f64>, now: Instant) {
        self.learned = learned;
        self.forgive_debt(now);
    }

    /// After a change of the rate.
    fn forgive_debt(&mut self, now: Instant) {
        if let Some(rate) = self.rate() {
            // Tokens that were taken at a lower rate must not cause a long wait at a higher rate.
            self.full_at = self.full_at.min(now + burst_time(rate) + interval(rate));
        }
    }

    /// The rate that counts; `None` is no limit.
    fn rate(&self) -> Option<f64> {
        let rates = [self.configured, self.learned];
        rates.into_iter().flatten().reduce(f64::min)
    }

    /// Takes a token. Without one, the error is the time at which the next one is there.
    pub(crate) fn take(&mut self, now: Instant) -> Result<(), Instant> {
        let Some(rate) = self.rate() else {
            return Ok(());
        };
        let ready_at = self.full_at.checked_sub(burst_time(rate));
        if let Some(ready_at) = ready_at.filter(|ready_at| *ready_at > now) {
            return Err(ready_at);
        }
        self.full_at = self.full_at.max(now) + interval(rate);
        Ok(())
    }

    /// Puts back a token that was taken and not used.
    pub(crate) fn give_back(&mut self) {
        if let Some(rate) = self.rate() {
            let before = self.full_at.checked_sub(interval(rate));
            self.full_at = before.unwrap_or(self.full_at);
        }
    }
}

/// The time between two requests at this rate.
fn interval(rate: f64) -> Duration {
    Duration::from_secs_f64(1.0 / rate)
}

/// A token may be taken this long before the bucket is full: in this time all tokens of a burst but one come in.
fn burst_time(rate: f64) -> Duration {
    interval(rate).mul_f64(burst(rate) - 1.0)
}

/// How many requests may start at once after a pause.
fn burst(rate: f64) -> f64 {
    let least = (rate * BURST_SECONDS_MAX).floor().clamp(1.0, 2.0);
    (rate * BURST_SECONDS).floor().max(least)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Takes tokens for `time`, each as early as possible, like a queue of requests whose timers tick in milliseconds. Returns
    /// how many it took.
    fn taken(limiter: &mut RateLimiter, start: Instant, time: Duration) -> u32 {
        let mut now = start;
        let mut taken = 0;
        while now < start + time {
            match limiter.take(now) {
                Ok(()) => taken += 1,
                Err(ready_at) => {
                    let wait = (ready_at - start).as_nanos().div_ceil(1_000_000);
                    now = start + Duration::from_millis(wait as u64);
                }
            }
        }
        taken
    }

    #[test]
    fn every_rate_is_kept_to_within_one_percent_and_a_burst() {
        for rate in [1, 7, 20, 39, 100, 999, 3000, 50_000] {
            let start = Instant::now();
            let mut limiter = RateLimiter::new(rate, start);
            let taken = f64::from(taken(&mut limiter, start, Duration::from_secs(10)));
            let (expected, burst) = (f64::from(rate) * 10.0, burst(f64::from(rate)));
            assert!(
                (expected * 0.99..=expected + burst).contains(&taken),
                "{taken} at {rate}/s"
            );
        }
    }

    #[test]
    fn a_burst_is_two_or_a_twentieth_of_a_second_and_never_over_a_tenth() {
        for (rate, expected) in [(1, 1), (19, 1), (20, 2), (59, 2), (60, 3), (1000, 50)] {
            assert_eq!(burst(f64::from(rate)), f64::from(expected), "{rate}/s");
        }
    }

    #[test]
    fn no_more_than_a_burst_is_saved_up_over_a_long_pause() {
        let start = Instant::now();
        let mut limiter = RateLimiter::new(100, start);
        let later = start + Duration::from_secs(3600);
        let at_once = (0..).take_while(|_| limiter.take(later).is_ok()).count();
        assert_eq!(at_once, 5);
    }

    #[test]
    fn without_a_rate_nothing_waits() {
        let start = Instant::now();
        let mut limiter = RateLimiter::new(0, start);
        assert!((0..10_000).all(|_| limiter.take(start).is_ok()));
    }

    #[test]
    fn the_lower_of_the_configured_and_the_learned_rate_counts() {
        let second = Duration::from_secs(1);
        for (configured, learned, expected) in [(100, 20.0, 20), (20, 100.0, 20), (0, 20.0, 20)] {
            let start = Instant::now();
            let mut limiter = RateLimiter::new(configured, start);
            limiter.set_learned(Some(learned), start);
            let count = taken(&mut limiter, start, 10 * second);
            assert!(
                (expected * 10..=expected * 10 + 2).contains(&count),
                "{count}"
            );
        }
    }

    #[test]
    fn a_higher_rate_applies_at_once_whatever_was_taken_before() {
        let start = Instant::now();
        let mut limiter = RateLimiter::new(0, start);
        limiter.set_learned(Some(1.0), start);
        assert!(limiter.take(start).is_ok());
        assert!(limiter.take(start).is_err());
        limiter.set_learned(Some(1000.0), start);
        let soon = start + Duration::from_millis(2);
        assert!(limiter.take(soon).is_ok());
    }

    #[test]
    fn a_token_that_is_put_back_can_be_taken_again_at_once() {
        let now = Instant::now();
        let mut limiter = RateLimiter::new(1, now);
        for _ in 0..1000 {
            assert_eq!(limiter.take(now), Ok(()));
            limiter.give_back();
        }
        assert_eq!(limiter.take(now), Ok(()));
        assert!(limiter.take(now).is_err());
    }
}
