//! Whether and when a failed attempt is made again. Pure.

use std::time::Duration;

use crate::ingest::http::error::AttemptError;

/// A server may ask for this much patience; an id that it asks more for fails.
pub(crate) const RETRY_AFTER_MAX: Duration = Duration::from_secs(600);

/// How often and how long to wait, from the settings.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RetryPolicy {
    pub(crate) attempts: u32,
    pub(crate) backoff: Duration,
    pub(crate) backoff_max: Duration,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Decision {
    RetryAfter(Duration),
    GiveUp,
}

impl RetryPolicy {
    /// What follows when attempt number `attempt` (from 1) ended with `error`; `random` is from 0.0 up to 1.0.
    pub(crate) fn after(&self, attempt: u32, error: &AttemptError, random: f64) -> Decision {
        let asks_too_much = error.retry_after() > Some(RETRY_AFTER_MAX);
        if attempt >= self.attempts || !error.is_transient() || asks_too_much {
            return Decision::GiveUp;
        }
        Decision::RetryAfter(self.wait(attempt, error, random))
    }

    /// How long to stay away after such a failure, be it for another attempt of this id or for those of others.
    ///
    /// Full jitter: the wait is anything from nothing up to the doubled backoff, so that fetchers that failed together do not
    /// come back together (AWS Architecture Blog, "Exponential Backoff And Jitter"). What a server names is waited for in full,
    /// unless it is more than anybody waits.
    pub(crate) fn wait(&self, attempt: u32, error: &AttemptError, random: f64) -> Duration {
        let jittered = self.ceiling(attempt).mul_f64(random);
        let asked = error
            .retry_after()
            .filter(|asked| *asked <= RETRY_AFTER_MAX);
        jittered.max(asked.unwrap_or_default())
    }

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

    fn status(code: u16, retry_after: Option<u64>) -> AttemptError {
        AttemptError::Status {
            code,
            retry_after: retry_after.map(Duration::from_secs),
        }
    }

    fn wait(attempt: u32, error: &AttemptError, random: f64) -> Decision {
        POLICY.after(attempt, error, random)
    }

    #[test]
    fn waits_double_up_to_the_cap_and_jitter_takes_the_whole_range() {
        let broken = AttemptError::Reset("closed".into());
        for (attempt, ceiling) in [(1, 1000), (2, 2000), (3, 3000)] {
            for (random, share) in [(0.0, 0), (0.5, ceiling / 2)] {
                let expected = Decision::RetryAfter(Duration::from_millis(share));
                assert_eq!(
                    wait(attempt, &broken, random),
                    expected,
                    "attempt {attempt}"
                );
            }
        }
        assert_eq!(wait(4, &broken, 0.5), Decision::GiveUp);
    }

    #[test]
    fn transient_failures_are_tried_again_and_permanent_ones_given_up() {
        for code in [408, 425, 429, 500, 502, 503, 504] {
            assert_ne!(
                wait(1, &status(code, None), 0.5),
                Decision::GiveUp,
                "{code}"
            );
        }
        for code in [400, 401, 403, 404, 410, 301, 501, 505] {
            assert_eq!(
                wait(1, &status(code, None), 0.5),
                Decision::GiveUp,
                "{code}"
            );
        }
        assert_eq!(
            wait(1, &AttemptError::TooLarge { limit: 1 }, 0.5),
            Decision::GiveUp
        );
        assert_eq!(
            wait(1, &AttemptError::Request("no URL".into()), 0.5),
            Decision::GiveUp
        );
    }

    #[test]
    fn retry_after_is_obeyed_past_the_cap_up_to_ten_minutes() {
        let seconds = |n| Decision::RetryAfter(Duration::from_secs(n));
        assert_eq!(wait(1, &status(429, Some(600)), 0.9), seconds(600));
        assert_eq!(wait(1, &status(503, Some(7)), 0.0), seconds(7));
        assert_eq!(wait(1, &status(503, Some(601)), 0.0), Decision::GiveUp);
    }

    #[test]
    fn a_short_retry_after_does_not_shorten_the_backoff() {
        let half = Decision::RetryAfter(Duration::from_millis(500));
        assert_eq!(wait(1, &status(429, Some(0)), 0.5), half);
    }

    #[test]
    fn a_thousand_attempts_do_not_overflow() {
        let patient = RetryPolicy {
            attempts: u32::MAX,
            ..POLICY
        };
        let broken = AttemptError::Timeout(Duration::from_secs(5));
        assert_eq!(
            patient.after(1000, &broken, 1.0),
            Decision::RetryAfter(POLICY.backoff_max)
        );
    }
}
