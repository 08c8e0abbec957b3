//! The circuit breaker of a run: is the API out? Pure.
//!
//! ```text
//!            10 failed attempts in a row          and 3 s since the first of them
//!   Closed ──────────────────────────► Suspect ───────────────────────────────► Open
//!      ▲                                  │                                       │
//!      └──────────────── any attempt that shows life (also 429) ──────────────────┘
//! ```
//!
//! While it is not closed, ids are handed out one at a time, as probes, and ids that fail are kept for later instead of being
//! settled as failed. The breaker looks at attempts alone: time in which no attempt could be made, because the API asked to be
//! left alone or because the pipeline was paused, does not count. Each run starts with a closed breaker.

use std::time::Duration;

use tokio::time::Instant;

use crate::ingest::limits::signal::Signal;

/// Fewer failed attempts in a row than this prove nothing.
const FAILURES_MIN: u32 = 10;

/// An API that served nothing for this long is out. Shorter troubles are left to backoff.
const OPENS_AFTER: Duration = Duration::from_secs(3);

/// Whether the API is taken to be out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub(crate) enum State {
    /// The API serves, as far as is known.
    #[default]
    Closed,
    /// Enough attempts failed in a row to doubt the API, not yet for long enough.
    Suspect,
    /// The API is out.
    Open,
}

/// How many attempts failed in a row, and what that says about them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub(crate) enum StreakLength {
    /// The last attempt did not fail.
    #[default]
    None,
    /// Too few to doubt the API.
    Short,
    /// Enough to doubt the API.
    Long,
}

/// Counts attempts that failed in a row.
#[derive(Debug)]
pub(crate) struct Breaker {
    /// Time in which attempts could be made.
    clock: Clock,
    /// The failures since the last sign of life.
    streak: Option<Streak>,
    state: State,
}

#[derive(Debug)]
struct Streak {
    failures: u32,
    /// When the first of them ended, on the breaker's clock.
    began: Duration,
}

impl Breaker {
    pub(crate) fn new(now: Instant) -> Self {
        Self {
            clock: Clock::new(now),
            streak: None,
            state: State::Closed,
        }
    }

    /// Takes the end of an attempt into account. `quiet_until` is how long the API asked to be left alone, if it did. Returns
    /// whether the state changed.
    pub(crate) fn record(
        &mut self,
        now: Instant,
        signal: Signal,
        quiet_until: Option<Instant>,
    ) -> bool {
        self.clock.advance(now);
        self.clock.quiet_until = quiet_until;
        if signal.shows_life() {
            self.streak = None;
        } else if signal.is_failure() {
            let began = self.clock.elapsed;
            let streak = self.streak.get_or_insert(Streak { failures: 0, began });
            streak.failures += 1;
        }
        let before = self.state;
        self.state = self.judge();
        self.state != before
    }

    fn judge(&self) -> State {
        match &self.streak {
            Some(streak) if streak.failures < FAILURES_MIN => State::Closed,
            Some(streak) if self.clock.elapsed - streak.began < OPENS_AFTER => State::Suspect,
            Some(_) => State::Open,
            None => State::Closed,
        }
    }

    pub(crate) fn state(&self) -> State {
        self.state
    }

    /// How many of the last attempts failed in a row.
    pub(crate) fn streak(&self) -> StreakLength {
        match &self.streak {
            None => StreakLength::None,
            Some(streak) if streak.failures < FAILURES_MIN => StreakLength::Short,
            Some(_) => StreakLength::Long,
        }
    }

    /// How long the API has served nothing.
    pub(crate) fn failing_for(&mut self, now: Instant) -> Duration {
        self.clock.advance(now);
        self.streak
            .as_ref()
            .map_or(Duration::ZERO, |streak| self.clock.elapsed - streak.began)
    }

    /// For how much longer the API wants to be left alone.
    pub(crate) fn quiet_for(&self, now: Instant) -> Duration {
        self.clock
            .quiet_until
            .map_or(Duration::ZERO, |until| until.saturating_duration_since(now))
    }

    /// Nothing is handed out from now on.
    pub(crate) fn pause(&mut self, now: Instant) {
        self.clock.advance(now);
        self.clock.is_paused = true;
    }

    pub(crate) fn resume(&mut self, now: Instant) {
        self.clock.advance(now);
        self.clock.is_paused = false;
    }
}

/// A clock that stands still while no attempt can be made.
#[derive(Debug)]
struct Clock {
    elapsed: Duration,
    /// Up to when `elapsed` counts.
    seen: Instant,
    quiet_until: Option<Instant>,
    is_paused: bool,
}

impl Clock {
    fn new(now: Instant) -> Self {
        Self {
            elapsed: Duration::ZERO,
            seen: now,
            quiet_until: None,
            is_paused: false,
        }
    }

    fn advance(&mut self, now: Instant) {
        let from = self
            .quiet_until
            .map_or(self.seen, |until| until.max(self.seen));
        if !self.is_paused {
            self.elapsed += now.saturating_duration_since(from);
        }
        self.seen = self.seen.max(now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ingest::limits::signal::Refusal;

    const SECOND: Duration = Duration::from_secs(1);

    const TOO_MANY: Signal = Signal::Refused {
        refusal: Refusal::TooManyRequests,
        retry_after: None,
    };

    fn unavailable() -> Signal {
        Signal::Refused {
            refusal: Refusal::Unavailable,
            retry_after: None,
        }
    }

    /// A breaker on a clock that the test moves.
    struct Timeline {
        breaker: Breaker,
        now: Instant,
    }

    impl Timeline {
        fn new() -> Self {
            let now = Instant::now();
            Self {
                breaker: Breaker::new(now),
                now,
            }
        }

        fn after(&mut self, time: Duration, signal: Signal) -> State {
            self.now += time;
            self.breaker.record(self.now, signal, None);
            self.breaker.state()
        }

        fn fail(&mut self, times: usize, every: Duration) -> State {
            for _ in 0..times {
                self.after(every, Signal::Unreachable);
            }
            self.breaker.state()
        }
    }

    #[test]
    fn ten_failures_in_a_row_over_three_seconds_open_it() {
        let mut time = Timeline::new();
        assert_eq!(time.fail(9, SECOND / 10), State::Closed);
        assert_eq!(time.fail(1, SECOND / 10), State::Suspect);
        assert_eq!(time.fail(1, SECOND), State::Suspect);
        assert_eq!(time.fail(1, 2 * SECOND), State::Open);
        assert_eq!(time.fail(1, SECOND / 10), State::Open);
    }

    #[test]
    fn a_streak_is_short_until_it_is_enough_to_doubt_the_api() {
        let mut time = Timeline::new();
        assert_eq!(time.breaker.streak(), StreakLength::None);
        time.fail(9, Duration::ZERO);
        assert_eq!(time.breaker.streak(), StreakLength::Short);
        time.fail(1, Duration::ZERO);
        assert_eq!(time.breaker.streak(), StreakLength::Long);
        time.after(SECOND, Signal::Served);
        assert_eq!(time.breaker.streak(), StreakLength::None);
    }

    #[test]
    fn few_failures_over_a_long_time_prove_nothing() {
        assert_eq!(Timeline::new().fail(9, 60 * SECOND), State::Closed);
    }

    #[test]
    fn any_sign_of_life_closes_it_and_starts_the_count_anew() {
        for life in [Signal::Served, TOO_MANY] {
            let mut time = Timeline::new();
            assert_eq!(time.fail(20, SECOND), State::Open);
            assert_eq!(time.after(SECOND, life), State::Closed);
            assert_eq!(time.fail(9, SECOND), State::Closed);
        }
    }

    #[test]
    fn an_attempt_that_says_nothing_changes_nothing() {
        let mut time = Timeline::new();
        time.fail(9, SECOND);
        assert_eq!(time.after(SECOND, Signal::Neutral), State::Closed);
        assert_eq!(time.after(SECOND, unavailable()), State::Open);
        assert_eq!(time.after(SECOND, Signal::Neutral), State::Open);
    }

    #[test]
    fn a_time_in_which_the_api_wants_no_requests_does_not_count() {
        let mut time = Timeline::new();
        time.fail(15, SECOND / 100);
        let quiet_until = time.now + 600 * SECOND;
        time.breaker
            .record(time.now, unavailable(), Some(quiet_until));
        assert_eq!(time.breaker.quiet_for(time.now), 600 * SECOND);
        time.now = quiet_until + 2 * SECOND;
        assert!(time.breaker.failing_for(time.now) < 3 * SECOND);
        assert_eq!(time.after(Duration::ZERO, unavailable()), State::Suspect);
        assert_eq!(time.after(SECOND, unavailable()), State::Open);
    }

    #[test]
    fn a_pause_does_not_count_even_together_with_a_quiet_time() {
        let mut time = Timeline::new();
        time.fail(10, Duration::ZERO);
        let quiet_until = time.now + 10 * SECOND;
        time.breaker
            .record(time.now, unavailable(), Some(quiet_until));
        time.now += 5 * SECOND;
        time.breaker.pause(time.now);
        time.now += 100 * SECOND;
        time.breaker.resume(time.now);
        assert_eq!(time.breaker.failing_for(time.now), Duration::ZERO);
        time.now += 2 * SECOND;
        assert_eq!(time.breaker.failing_for(time.now), 2 * SECOND);
    }

    #[test]
    fn it_says_for_how_long_the_api_has_served_nothing() {
        let mut time = Timeline::new();
        assert_eq!(time.breaker.failing_for(time.now), Duration::ZERO);
        time.fail(12, SECOND);
        assert_eq!(time.breaker.failing_for(time.now), 11 * SECOND);
    }
}
