//! The retry policy: whether an id is tried again, and how long it waits first. Pure.

use std::time::Duration;

use crate::ingest::{config::Config, limits::signal::Signal};

/// How many attempts an id has, and how long it waits between them.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RetryPolicy {
    /// The most attempts of one id, the first included.
    pub(crate) attempts: u32,
    /// The longest wait before the second attempt; it doubles for each further one.
    pub(crate) backoff: Duration,
    /// The longest wait, however often it doubled.
    pub(crate) backoff_max: Duration,
}

impl RetryPolicy {
    pub(crate) fn new(config: &Config) -> Self {
        Self {
            attempts: config.attempts,
            backoff: config.backoff,
            backoff_max: config.backoff_max,
        }
    }

    /// Whether the id is tried again after attempt number `attempt` (from 1), which ended with `signal`.
    pub(crate) fn tries_again_after(&self, attempt: u32, signal: Signal) -> bool {
        attempt < self.attempts && !signal.is_final()
    }

    /// How long to wait after attempt number `attempt`. `random` is from 0.0 to 1.0.
    ///
    /// This is full jitter: the wait is a random part of the doubled backoff. So fetchers that failed at the same time do not ask
    /// again at the same time (AWS Architecture Blog, "Exponential Backoff And Jitter"). The wait is never shorter than the
    /// `Retry-After` of the API.
    pub(crate) fn wait(&self, attempt: u32, signal: Signal, random: f64) -> Duration {
        let jittered = self.ceiling(attempt).mul_f64(random);
        jittered.max(signal.retry_after().unwrap_or_default())
    }

    /// The longest wait after this attempt.
    fn ceiling(&self, attempt: u32) -> Duration {
        let doublings = attempt.saturating_sub(1).min(31);
        self.backoff
            .saturating_mul(1 << doublings)
            .min(self.backoff_max)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const POLICY: RetryPolicy = RetryPolicy {
        attempts: 4,
        backoff: Duration::from_secs(1),
        backoff_max: Duration::from_secs(3),
    };

    fn refused(retry_after: Option<u64>) -> Signal {
        Signal::Unavailable {
            retry_after: retry_after.map(Duration::from_secs),
        }
    }

    #[test]
    fn waits_double_up_to_the_cap_and_jitter_uses_the_whole_range() {
        for (attempt, ceiling) in [(1, 1000), (2, 2000), (3, 3000), (4, 3000)] {
            for (random, expected) in [(0.0, 0), (0.5, ceiling / 2), (1.0, ceiling)] {
                assert_eq!(
                    POLICY.wait(attempt, Signal::Unreachable, random),
                    Duration::from_millis(expected),
                    "attempt {attempt}"
                );
            }
        }
    }

    #[test]
    fn an_id_is_tried_again_until_it_is_served_or_has_had_its_attempts() {
        for signal in [Signal::Unreachable, Signal::Neutral, refused(None)] {
            assert!(POLICY.tries_again_after(1, signal), "{signal:?}");
            assert!(POLICY.tries_again_after(3, signal), "{signal:?}");
            assert!(!POLICY.tries_again_after(4, signal), "{signal:?}");
        }
        assert!(!POLICY.tries_again_after(1, Signal::Served));
    }

    #[test]
    fn retry_after_is_obeyed_past_the_cap() {
        let hour = 3600;
        assert!(POLICY.tries_again_after(1, refused(Some(hour))));
        let wait = POLICY.wait(1, refused(Some(hour)), 0.9);
        assert_eq!(wait, Duration::from_secs(hour));
    }

    #[test]
    fn a_short_retry_after_does_not_shorten_the_backoff() {
        assert_eq!(
            POLICY.wait(1, refused(Some(0)), 0.5),
            Duration::from_millis(500)
        );
    }

    #[test]
    fn a_thousand_attempts_do_not_overflow() {
        assert_eq!(
            POLICY.wait(1000, Signal::Unreachable, 1.0),
            POLICY.backoff_max
        );
    }
}
