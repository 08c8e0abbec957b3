//! The adaptive limits: how many requests an API accepts, learned from how attempts end. Pure: the caller passes the time.
//!
//! There are two limits, because servers have two kinds of limits:
//!
//! - [`ConcurrencyLimit`]: how many requests may be in flight. 503, failures and growing latency lower it.
//! - [`LearnedRate`]: how many requests may start in a second. 429 lowers it.
//!
//! A 503 does not say which limit was reached. First it is taken for too many requests in flight. If fewer in flight do not help,
//! it is taken for too many requests per second (nginx, for example, answers these with 503 by default). If fewer per second do
//! not help either, it is taken for something that this program cannot change:
//!
//! ```text
//!   TooManyInFlight ── lowering the limit does not help ──▶ TooManyPerSecond ── lowering the rate does not help ──▶ Unrelated
//!         ▲                                                       │ 30 s                                             │ 5 min
//!         └───────────────────────────────────────────────────────┴──────────────────────────────────────────────────┘
//! ```

mod concurrency;
mod learned_rate;
mod lowering_test;

#[cfg(test)]
mod tests;

use std::time::Duration;

use self::{concurrency::ConcurrencyLimit, learned_rate::LearnedRate, lowering_test::LoweringTest};
use crate::ingest::limits::signal::Signal;

/// How long 503 is taken for too many requests per second. This is long enough to find the rate and to use it, and short enough
/// that a wrong verdict costs little of a long run.
const PER_SECOND_FOR: Duration = Duration::from_secs(30);

/// How long 503 is ignored. To test it again, both limits must be lowered, which costs answers. So it is tested rarely.
const UNRELATED_FOR: Duration = Duration::from_secs(300);

/// A verdict on the rate needs this long. The rate looks back one second, so after two seconds it sees only attempts at the
/// lowered rate. An earlier verdict is often wrong, and then thousands of requests are refused.
const RATE_SETTLES: Duration = Duration::from_secs(2);

/// What a 503 is taken for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Meaning {
    TooManyInFlight,
    TooManyPerSecond,
    Unrelated,
}

/// Both limits. They learn from the end of every attempt. `now` is the time since any fixed moment.
#[derive(Clone, Debug)]
pub(crate) struct AdaptiveLimits {
    /// The limit on requests in flight.
    concurrency: ConcurrencyLimit,
    /// The limit on requests per second.
    rate: LearnedRate,
    /// What a 503 is taken for.
    meaning: Meaning,
    /// From this time on, a 503 is taken for `TooManyInFlight` again.
    meaning_until: Duration,
    /// Tests whether a lower rate brings fewer 503s.
    rate_test: LoweringTest,
}

impl AdaptiveLimits {
    /// Raises the highest limit.
    pub(crate) fn raise_ceiling(&mut self, ceiling: usize) {
        self.concurrency.raise_ceiling(ceiling);
    }

    /// `ceiling` is the highest limit: the number of fetchers.
    pub(crate) fn new(ceiling: usize) -> Self {
        Self {
            concurrency: ConcurrencyLimit::new(ceiling),
            rate: LearnedRate::default(),
            meaning: Meaning::TooManyInFlight,
            meaning_until: Duration::ZERO,
            rate_test: LoweringTest::default(),
        }
    }

    /// Requests that may be in flight.
    pub(crate) fn in_flight_limit(&self) -> usize {
        self.concurrency.limit()
    }

    /// Requests that may start in a second, or `None` for any number.
    pub(crate) fn learned_rate(&self) -> Option<f64> {
        self.rate.per_second()
    }

    /// Takes the end of an attempt into account. `took` is how long the attempt took, `in_flight` how many requests were in
    /// flight when it ended, itself included.
    pub(crate) fn record(
        &mut self,
        now: Duration,
        signal: Signal,
        took: Duration,
        in_flight: usize,
    ) {
        if now >= self.meaning_until {
            self.meaning = Meaning::TooManyInFlight;
        }
        let is_503 = matches!(signal, Signal::Unavailable { .. });
        let signal = match self.meaning {
            Meaning::TooManyPerSecond if is_503 => Signal::TooManyRequests { retry_after: None },
            Meaning::Unrelated if is_503 => Signal::Neutral,
            _ => signal,
        };
        match signal {
            Signal::Served => self.rate.record(now, true),
            Signal::TooManyRequests { .. } => self.rate.record(now, false),
            _ => {}
        }
        let lowering_helps = self.concurrency.record(now, signal, took, in_flight);
        if !lowering_helps {
            self.take_503_for(Meaning::TooManyPerSecond, now, PER_SECOND_FOR);
        } else if is_503 && self.meaning == Meaning::TooManyPerSecond && self.rate_is_no_help(now) {
            self.rate = LearnedRate::default();
            self.take_503_for(Meaning::Unrelated, now, UNRELATED_FOR);
        }
    }

    /// Whether it is now clear that a lower rate brings no fewer 503s.
    fn rate_is_no_help(&mut self, now: Duration) -> bool {
        let share = self.rate.refused_share();
        self.rate
            .per_second()
            .is_some_and(|rate| self.rate_test.shows_no_help(now, rate, share, RATE_SETTLES))
    }

    /// Takes 503 for another problem from now on, for `time`.
    fn take_503_for(&mut self, meaning: Meaning, now: Duration, time: Duration) {
        self.meaning = meaning;
        self.meaning_until = now + time;
        self.rate_test = LoweringTest::default();
        self.concurrency.raise_to_ceiling(now);
    }
}
