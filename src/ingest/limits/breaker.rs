//! The circuit breaker of a run: decides whether the API is out.
//!
//! ```text
//!          an attempt fails           10 failed in a row            and 3 s since the first of these
//!   Closed ───────────────► Failing ───────────────────► Suspect ─────────────────────────────────► Open
//!      ▲                       │                            │                                         │
//!      └───────────────────────┴── any attempt that shows that the API works (also 429) ──────────────┘
//! ```
//!
//! If the tenth failure comes three seconds after the first one or later, the breaker opens at once.
//!
//! The coordinator acts on the state (`actors/coordinator/outage.rs`): while the breaker is open, it hands out one id at a time,
//! as a probe, and keeps ids that fail for later. Usual circuit breakers call the state with probes half-open.
//!
//! The breaker's clock stands still during a cool-down and while the pipeline is paused. If the API still fails after a
//! cool-down, the time of the cool-down counts after all. Each run starts with a closed breaker.

use std::{mem, time::Duration};

use tokio::time::Instant;

use crate::ingest::limits::{cool_down::SharedCoolDown, signal::Signal};

/// Fewer failed attempts in a row may be the fault of their ids.
const FAILURES_MIN: u32 = 10;

/// If all attempts fail for this long, the API is out. Backoff alone bridges shorter failures.
const OPENS_AFTER: Duration = Duration::from_secs(3);

/// What the breaker says about the API.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Default)]
pub(crate) enum BreakerState {
    /// No attempt has failed since the API last showed that it works.
    #[default]
    Closed,
    /// Too few attempts have failed in a row to doubt the API.
    Failing,
    /// Enough attempts failed in a row to doubt the API, but they began to fail too short a time ago.
    Suspect,
    /// The API is out.
    Open,
}

impl BreakerState {
    /// Whether enough attempts failed in a row to doubt the API.
    pub(crate) fn doubts_api(self) -> bool {
        self >= Self::Suspect
    }
}

/// Counts the attempts that failed in a row, and judges the API by them.
#[derive(Debug, Default)]
pub(crate) struct Breaker {
    /// Measures the time in which attempts could be made.
    clock: Clock,
    /// The attempts that failed since the API last showed that it works. `None` if there are none.
    streak: Option<Streak>,
    /// The judgement after the last attempt.
    state: BreakerState,
}

/// Attempts that failed in a row.
#[derive(Debug)]
struct Streak {
    /// How many there are.
    failures: u32,
    /// When the first of them ended, on the breaker's clock.
    began: Duration,
}

impl Breaker {
    /// From now on the time of these cool-downs does not count.
    pub(crate) fn leave_out(&mut self, cool_down: SharedCoolDown) {
        self.clock.cool_down = cool_down;
    }

    /// Takes the end of an attempt into account. Returns whether the API is judged in another way now, where `Closed` and
    /// `Failing` are the same.
    pub(crate) fn record(&mut self, now: Instant, signal: Signal) -> bool {
        self.clock.advance(now);
        if signal.shows_life() {
            self.streak = None;
            self.clock.left_out = Duration::ZERO;
        } else if signal.is_failure() {
            self.clock.count_a_cool_down_that_did_not_help(now);
            let began = self.clock.elapsed;
            let streak = self.streak.get_or_insert(Streak { failures: 0, began });
            streak.failures += 1;
        }
        let before = self.state;
        self.state = self.judge();
        // A single failure and its end are no news.
        self.state.max(BreakerState::Failing) != before.max(BreakerState::Failing)
    }

    fn judge(&self) -> BreakerState {
        match &self.streak {
            Some(streak) if streak.failures < FAILURES_MIN => BreakerState::Failing,
            Some(streak) if self.clock.elapsed - streak.began < OPENS_AFTER => {
                BreakerState::Suspect
            }
            Some(_) => BreakerState::Open,
            None => BreakerState::Closed,
        }
    }

    pub(crate) fn state(&self) -> BreakerState {
        self.state
    }

    /// How long all attempts have failed, on the breaker's clock.
    pub(crate) fn failing_for(&mut self, now: Instant) -> Duration {
        self.clock.advance(now);
        self.streak
            .as_ref()
            .map_or(Duration::ZERO, |streak| self.clock.elapsed - streak.began)
    }

    /// How much of the cool-down is left.
    pub(crate) fn quiet_for(&self, now: Instant) -> Duration {
        self.clock.cool_down.rest(now)
    }

    /// Stops the clock: the coordinator hands out no ids during a pause.
    pub(crate) fn pause(&mut self, now: Instant) {
        self.clock.advance(now);
        self.clock.is_paused = true;
    }

    /// Starts the clock again.
    pub(crate) fn resume(&mut self, now: Instant) {
        self.clock.advance(now);
        self.clock.is_paused = false;
    }
}

/// A clock that stands still during cool-downs and pauses.
#[derive(Debug)]
struct Clock {
    /// The time that the clock shows.
    elapsed: Duration,
    /// When `elapsed` was last brought up to date.
    seen: Instant,
    /// The clock stands still during it.
    cool_down: SharedCoolDown,
    /// How long cool-downs have kept the clock still since it last counted them.
    left_out: Duration,
    /// Whether the clock stands still because the pipeline is paused.
    is_paused: bool,
}

impl Default for Clock {
    fn default() -> Self {
        Self {
            elapsed: Duration::ZERO,
            seen: Instant::now(),
            cool_down: SharedCoolDown::default(),
            left_out: Duration::ZERO,
            is_paused: false,
        }
    }
}

impl Clock {
    /// An attempt failed. If that was after the cool-down, the API was out all the time: waiting as it asked did not help.
    /// Without this, an API that always asks for more time would never count as out.
    fn count_a_cool_down_that_did_not_help(&mut self, now: Instant) {
        if self.cool_down.ends_at(now).is_none() {
            self.elapsed += mem::take(&mut self.left_out);
        }
    }

    /// Brings `elapsed` up to date.
    fn advance(&mut self, now: Instant) {
        if !self.is_paused {
            let passed = now.saturating_duration_since(self.seen);
            let quiet = self
                .cool_down
                .last()
                .map_or(Duration::ZERO, |last| last.overlap(self.seen, now));
            self.elapsed += passed.saturating_sub(quiet);
            self.left_out += quiet;
        }
        self.seen = self.seen.max(now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    const TOO_MANY: Signal = Signal::TooManyRequests { retry_after: None };

    fn unavailable() -> Signal {
        Signal::Unavailable { retry_after: None }
    }

    /// A breaker on a clock that the test moves.
    struct Timeline {
        breaker: Breaker,
        cool_down: SharedCoolDown,
        now: Instant,
    }

    impl Timeline {
        fn new() -> Self {
            let (mut breaker, cool_down) = (Breaker::default(), SharedCoolDown::default());
            let now = breaker.clock.seen;
            breaker.leave_out(cool_down.clone());
            Self {
                breaker,
                cool_down,
                now,
            }
        }

        fn after(&mut self, time: Duration, signal: Signal) -> BreakerState {
            self.now += time;
            self.breaker.record(self.now, signal);
            self.breaker.state()
        }

        fn fail(&mut self, times: usize, every: Duration) -> BreakerState {
            for _ in 0..times {
                self.after(every, Signal::Unreachable);
            }
            self.breaker.state()
        }
    }

    #[test]
    fn ten_failures_in_a_row_over_three_seconds_open_it() {
        let mut time = Timeline::new();
        assert_eq!(time.fail(9, SECOND / 10), BreakerState::Failing);
        assert_eq!(time.fail(1, SECOND / 10), BreakerState::Suspect);
        assert_eq!(time.fail(1, SECOND), BreakerState::Suspect);
        assert_eq!(time.fail(1, 2 * SECOND), BreakerState::Open);
        assert_eq!(time.fail(1, SECOND / 10), BreakerState::Open);
    }

    #[test]
    fn the_api_is_doubted_from_the_tenth_failure_in_a_row_on() {
        let mut time = Timeline::new();
        assert_eq!(time.breaker.state(), BreakerState::Closed);
        assert!(!time.fail(1, Duration::ZERO).doubts_api());
        assert!(!time.fail(8, Duration::ZERO).doubts_api());
        assert!(time.fail(1, Duration::ZERO).doubts_api());
        assert!(time.fail(1, 3 * SECOND).doubts_api());
        assert_eq!(time.after(SECOND, Signal::Served), BreakerState::Closed);
    }

    #[test]
    fn an_api_that_always_asks_for_more_time_opens_it_even_if_its_state_is_read_meanwhile() {
        let mut time = Timeline::new();
        time.fail(10, Duration::ZERO);
        for seconds in 0..5 {
            assert_eq!(time.breaker.failing_for(time.now), seconds * SECOND);
            time.cool_down.extend(time.now, time.now + SECOND);
            time.now += SECOND;
            // The coordinator reads this for its timers.
            time.breaker.failing_for(time.now);
            time.after(Duration::ZERO, unavailable());
        }
        assert_eq!(time.breaker.state(), BreakerState::Open);
    }

    #[test]
    fn few_failures_do_not_open_it_even_over_a_long_time() {
        assert_eq!(Timeline::new().fail(9, 60 * SECOND), BreakerState::Failing);
    }

    #[test]
    fn an_attempt_that_shows_that_the_api_works_closes_it_and_resets_the_count() {
        for signal in [Signal::Served, TOO_MANY] {
            let mut time = Timeline::new();
            assert_eq!(time.fail(20, SECOND), BreakerState::Open);
            assert_eq!(time.after(SECOND, signal), BreakerState::Closed);
            assert_eq!(time.fail(9, SECOND), BreakerState::Failing);
        }
    }

    #[test]
    fn a_neutral_attempt_changes_nothing() {
        let mut time = Timeline::new();
        time.fail(9, SECOND);
        assert_eq!(time.after(SECOND, Signal::Neutral), BreakerState::Failing);
        assert_eq!(time.after(SECOND, unavailable()), BreakerState::Open);
        assert_eq!(time.after(SECOND, Signal::Neutral), BreakerState::Open);
    }

    #[test]
    fn a_cool_down_does_not_count() {
        let mut time = Timeline::new();
        time.fail(15, SECOND / 100);
        let quiet_until = time.now + 600 * SECOND;
        time.cool_down.extend(time.now, quiet_until);
        time.after(Duration::ZERO, unavailable());
        assert_eq!(time.breaker.quiet_for(time.now), 600 * SECOND);
        time.now = quiet_until + 2 * SECOND;
        assert!(time.breaker.failing_for(time.now) < 3 * SECOND);
        assert_eq!(
            time.after(Duration::ZERO, Signal::Served),
            BreakerState::Closed
        );
    }

    #[test]
    fn a_cool_down_after_which_the_api_still_fails_counts_after_all() {
        let mut time = Timeline::new();
        time.fail(10, Duration::ZERO);
        time.cool_down.extend(time.now, time.now + 2 * SECOND);
        assert_eq!(time.after(SECOND, unavailable()), BreakerState::Suspect);
        assert_eq!(time.breaker.failing_for(time.now), Duration::ZERO);
        assert_eq!(time.after(2 * SECOND, unavailable()), BreakerState::Open);
        assert_eq!(time.breaker.failing_for(time.now), 3 * SECOND);
    }

    #[test]
    fn a_cool_down_that_another_run_caused_does_not_count_either() {
        let mut time = Timeline::new();
        time.fail(10, Duration::ZERO);
        time.now += SECOND;
        time.cool_down.extend(time.now, time.now + 60 * SECOND);
        time.now += 61 * SECOND;
        assert_eq!(time.breaker.failing_for(time.now), 2 * SECOND);
    }

    #[test]
    fn a_pause_does_not_count_even_if_it_overlaps_a_cool_down() {
        let mut time = Timeline::new();
        time.fail(10, Duration::ZERO);
        time.cool_down.extend(time.now, time.now + 10 * SECOND);
        time.after(Duration::ZERO, unavailable());
        time.now += 5 * SECOND;
        time.breaker.pause(time.now);
        time.now += 100 * SECOND;
        time.breaker.resume(time.now);
        assert_eq!(time.breaker.failing_for(time.now), Duration::ZERO);
        time.now += 2 * SECOND;
        assert_eq!(time.breaker.failing_for(time.now), 2 * SECOND);
    }

    #[test]
    fn it_says_how_long_all_attempts_have_failed() {
        let mut time = Timeline::new();
        assert_eq!(time.breaker.failing_for(time.now), Duration::ZERO);
        time.fail(12, SECOND);
        assert_eq!(time.breaker.failing_for(time.now), 11 * SECOND);
    }
}
