//! How many requests may be in flight, learned from how attempts end. Pure: there is no clock and no timer in here.
//!
//! The aim is the most answers per second. What the server refuses or fails to answer lowers the limit. Whether another limit
//! would bring more answers is tried out: for a moment the limit is higher or lower, and it stays there if more answers came.
//!
//! ```text
//!                        a trial is due
//!   ┌────────┐ ───────────────────────────────▶ ┌───────┐
//!   │ Steady │                                  │ Trial │
//!   └────────┘ ◀─────────────────────────────── └───────┘
//!     │   ▲      more answers: keep the limit,
//!     │   │      and try the next one at once;
//!     │   │      else: take the old limit, and
//!     │   │      try the other direction later
//!     │   │
//!     │   └─ most attempts are answered again: back to the limit from before
//!     │
//!     └─ most attempts fail: half the limit ─▶ ┌────────────┐
//!                                              │ Recovering │ ── they still fail: half the limit again
//!                                              └────────────┘
//!   In any state, refusals lower the limit to what the server bore. Then the state is Steady, and the next trial goes up.
//! ```
//!
//! Attempts are judged in windows of 100 ms or more. While a window is open, each refusal in it lowers the limit by one at
//! once: otherwise one waiting request after the other would be sent into the place that was just refused.
//!
//! An attempt that began before the limit was last set says nothing about the limit of now, and is left out.
//!
//! The numbers below were chosen by simulation: the servers of the tests and 260 variations of them (latency, number of
//! fetchers, strictness, chance). Each number was changed alone; where that made a difference, the comment says so.

use std::time::Duration;

use super::lowering_test::LoweringTest;
use crate::ingest::limits::signal::{Refusal, Signal};

/// The first limit: the default number of fetchers. With more fetchers the limit is raised from here by trials. Starting at
/// the ceiling would be quicker on a healthy server by some tenths of a second, but on one whose latency grows with load, 256
/// requests at once take so long that nothing is learned for many seconds. With 8 a large number of fetchers is reached too
/// late; with 32 a server that is fastest with 8 loses 4 % more.
const INITIAL_LIMIT: usize = 16;

/// A window lasts at least this long, and holds at least this many attempts: fewer are a matter of chance, and a short run with
/// a few failures is not slowed down. With 10 attempts, chance costs some servers a tenth or more.
const WINDOW_TIME: Duration = Duration::from_millis(100);
const WINDOW_ATTEMPTS: u32 = 20;

/// Trials compare the answers per second of samples of this size. With 50, chance decides too often; with 200, slow servers
/// wait too long for a better limit.
const SAMPLE_ANSWERS: u32 = 100;

/// A sample that is older than this may contain a pause, or a server that has changed.
const SAMPLE_STALE_AFTER: Duration = Duration::from_secs(10);

/// A trial succeeds if it brings this much more. From 0.02 to 0.05 it makes no difference; with 0.08 the limit stays too
/// far from the best one.
const GAIN: f64 = 0.05;

/// A trial that loses or gains this much is decided before its sample is full. Without the early end of bad trials, a server
/// whose latency grows with load loses 5 % more. A clear gain of 0.2 is as good as one of 0.4.
const CLEAR_LOSS: f64 = 0.15;
const CLEAR_GAIN: f64 = 0.4;

/// A trial multiplies or divides the limit by this. The large step is for when the limit is far from right: at the start and
/// after a clear gain. It takes 16 to 1024 in three trials. The small step finds the best limit to within a few
/// percent of the answers per second.
const LARGE_STEP: f64 = 4.0;
const SMALL_STEP: f64 = 1.25;

/// The time from a trial without success to the next. It doubles with each failed trial, since a trial costs up to a fifth of
/// the answers while it lasts; a success sets it back. First intervals of one
/// or two seconds and longest ones of 16 or 60 do equally well; longer ones disturb the server less.
const TRIAL_INTERVAL: Duration = Duration::from_secs(2);
const TRIAL_INTERVAL_MAX: Duration = Duration::from_secs(60);

/// After failures, the limit from before is taken up again, but no more often than this: if the server fails again so soon,
/// that limit may be the reason. Without this pause, a server whose latency grew beyond the timeout loses a tenth.
const RECOVER_INTERVAL: Duration = Duration::from_secs(10);

/// The in-flight limit. `now` is the time since any fixed moment.
#[derive(Clone, Debug)]
pub(super) struct ConcurrencyLimit {
    /// The highest limit: the number of fetchers.
    ceiling: usize,
    limit: usize,
    state: State,
    /// What has ended since the last judgement.
    window: Window,
    /// What the present limit brings.
    sample: Sample,
    /// The next trial: when, whether it goes up, by which factor, and how long to wait after it if it fails.
    next_trial: Duration,
    upwards: bool,
    step: f64,
    trial_interval: Duration,
    /// From when on the limit from before a failure may be taken up again.
    may_recover_from: Duration,
    /// Whether a lower limit brings fewer refusals.
    lowering_test: LoweringTest,
}

#[derive(Clone, Copy, Debug)]
enum State {
    Steady,
    /// Another limit is tried out.
    Trial {
        /// The limit before.
        from: usize,
        /// The answers per second before.
        goodput: f64,
    },
    /// Most attempts failed. The first good window leads back to this limit.
    Recovering {
        to: usize,
    },
}

/// The attempts that ended within a span of time.
#[derive(Clone, Copy, Debug, Default)]
struct Window {
    started: Duration,
    served: u32,
    /// How long the served ones took, all together.
    served_took: Duration,
    /// 503, confirmed by an attempt that was served meanwhile.
    refused: u32,
    /// 503, of which it is not yet known whether the server served others meanwhile. If not, it is out, and they say nothing
    /// about a number of requests.
    unconfirmed: u32,
    last_refused: Duration,
    limited: u32,
    unreachable: u32,
    /// At least half of the limit was in flight. If not, it is not the limit that holds requests back.
    is_limit_used: bool,
}

impl Window {
    fn since(started: Duration) -> Self {
        Self {
            started,
            ..Self::default()
        }
    }

    fn add(&mut self, now: Duration, signal: Signal, took: Duration) {
        match signal {
            Signal::Served => {
                if self.unconfirmed > 0 {
                    self.confirm_refusals(now.saturating_sub(took));
                }
                self.served += 1;
                self.served_took += took;
            }
            Signal::Refused {
                refusal: Refusal::Unavailable,
                ..
            } => {
                self.unconfirmed += 1;
                self.last_refused = now;
            }
            Signal::Refused {
                refusal: Refusal::TooManyRequests,
                ..
            } => self.limited += 1,
            Signal::Unreachable => self.unreachable += 1,
            Signal::Neutral => {}
        }
    }

    /// Decides what the unconfirmed refusals mean, once an attempt that began at `began` was served.
    fn confirm_refusals(&mut self, began: Duration) {
        if began <= self.last_refused {
            self.refused += std::mem::take(&mut self.unconfirmed);
        } else {
            *self = Self::since(began);
        }
    }

    fn ended(&self) -> u32 {
        self.served + self.refused + self.limited + self.unreachable
    }

    fn is_full(&self, now: Duration) -> bool {
        let time = now.saturating_sub(self.started);
        time >= WINDOW_TIME && self.ended() >= WINDOW_ATTEMPTS && self.unconfirmed == 0
    }
}

/// Served attempts that began after the limit was set.
#[derive(Clone, Copy, Debug, Default)]
struct Sample {
    since: Duration,
    /// When the first of them ended. Time counts from here; this one does not.
    first_ended: Option<Duration>,
    lasted: Duration,
    served: u32,
    served_took: Duration,
}

impl Sample {
    fn since(since: Duration) -> Self {
        Self {
            since,
            ..Self::default()
        }
    }

    fn add(&mut self, now: Duration, took: Duration) {
        match self.first_ended {
            None => self.first_ended = Some(now),
            Some(first_ended) => {
                self.lasted = now.saturating_sub(first_ended);
                self.served += 1;
                self.served_took += took;
            }
        }
    }

    /// Answers per second.
    fn goodput(&self) -> f64 {
        f64::from(self.served) / self.lasted.as_secs_f64().max(0.001)
    }

    fn is_full(&self) -> bool {
        let latency = self.served_took / self.served.max(1);
        self.served >= SAMPLE_ANSWERS && self.lasted >= latency
    }
}

impl ConcurrencyLimit {
    /// `ceiling` is the highest limit: the number of fetchers.
    pub(super) fn new(ceiling: usize) -> Self {
        let limit = ceiling.min(INITIAL_LIMIT);
        Self {
            ceiling,
            limit,
            state: State::Steady,
            window: Window::default(),
            sample: Sample::default(),
            next_trial: Duration::ZERO,
            upwards: limit < ceiling,
            step: LARGE_STEP,
            trial_interval: TRIAL_INTERVAL,
            may_recover_from: Duration::ZERO,
            lowering_test: LoweringTest::default(),
        }
    }

    /// Requests that may be in flight; at least one.
    pub(super) fn limit(&self) -> usize {
        if !self.window.is_limit_used {
            return self.limit;
        }
        let refused = self.window.refused + self.window.unconfirmed;
        let least = self.trial_from().unwrap_or(1);
        self.limit.saturating_sub(refused as usize).max(least)
    }

    /// Raises the limit to the ceiling, because refusals turned out not to depend on it.
    pub(super) fn raise_to_ceiling(&mut self, now: Duration) {
        self.set(now, self.ceiling);
    }

    /// Takes the end of an attempt into account. `took` is how long the attempt took, `in_flight` how many requests were in
    /// flight when it ended, itself included. Returns `false` if it is now clear that a lower limit brings no fewer refusals.
    #[must_use]
    pub(super) fn record(
        &mut self,
        now: Duration,
        signal: Signal,
        took: Duration,
        in_flight: usize,
    ) -> bool {
        if now.saturating_sub(took) < self.sample.since {
            return true;
        }
        self.window.is_limit_used |= in_flight * 2 > self.limit();
        self.window.add(now, signal, took);
        if signal == Signal::Served {
            self.sample.add(now, took);
        }
        if !self.window.is_full(now) {
            return true;
        }
        let window = std::mem::replace(&mut self.window, Window::since(now));
        if window.unreachable * 2 > window.ended() {
            self.on_failures(now);
        } else if window.refused > 0 {
            return self.on_refusals(now, &window);
        } else if window.limited > 0 || !window.is_limit_used {
            // It is a rate, or a lack of ids, that holds requests back: nothing can be learned about their number.
            self.stop_trial(now);
        } else {
            self.on_success(now);
        }
        true
    }

    /// Most attempts brought no answer.
    fn on_failures(&mut self, now: Duration) {
        if let Some(from) = self.trial_from() {
            self.set(now, from);
            self.plan_trial(now + self.trial_interval, true, SMALL_STEP);
            return self.double_trial_interval();
        }
        let recover_to = match self.state {
            State::Recovering { to } => Some(to),
            _ if now >= self.may_recover_from => Some(self.limit),
            _ => None,
        };
        self.set(now, self.limit / 2);
        match recover_to {
            Some(to) => self.state = State::Recovering { to },
            None => self.plan_trial(now, true, SMALL_STEP),
        }
    }

    /// Some attempts were refused while others were served.
    fn on_refusals(&mut self, now: Duration, window: &Window) -> bool {
        let share = f64::from(window.refused) / f64::from(window.ended());
        let limit = self.limit as f64;
        if self
            .lowering_test
            .shows_no_help(now, limit, share, Duration::ZERO)
        {
            return false;
        }
        // The limit has already been lowered by one for each refusal. That is too low if requests were refused again and again
        // in the same place; how many were being served on average is known, too.
        let time = now.saturating_sub(window.started).as_secs_f64();
        let served_at_once = (window.served_took.as_secs_f64() / time).ceil() as usize;
        let not_refused = self.limit.saturating_sub(window.refused as usize);
        let mut bearable = not_refused.max(served_at_once).min(self.limit);
        if let Some(from) = self.trial_from() {
            bearable = bearable.max(from);
            self.double_trial_interval();
        } else if bearable <= self.limit / 2 {
            // The server has changed.
            self.trial_interval = TRIAL_INTERVAL;
        }
        self.set(now, bearable);
        self.plan_trial(now + self.trial_interval, true, SMALL_STEP);
        true
    }

    /// All is well, and it is the limit that holds requests back.
    fn on_success(&mut self, now: Duration) {
        match self.state {
            State::Recovering { to } => {
                self.may_recover_from = now + RECOVER_INTERVAL;
                self.set(now, to);
            }
            State::Trial { from, goodput } => self.judge_trial(now, from, goodput),
            State::Steady if self.sample.lasted > SAMPLE_STALE_AFTER => {
                self.sample = Sample::since(now);
            }
            State::Steady if now >= self.next_trial && self.sample.is_full() => {
                self.start_trial(now);
            }
            State::Steady => {}
        }
    }

    fn start_trial(&mut self, now: Duration) {
        let (from, goodput) = (self.limit, self.sample.goodput());
        let to = if self.upwards {
            (from as f64 * self.step).ceil()
        } else {
            (from as f64 / self.step).floor()
        };
        self.set(now, to as usize);
        if self.limit == from {
            self.reverse_direction(now);
        } else {
            self.state = State::Trial { from, goodput };
        }
    }

    fn judge_trial(&mut self, now: Duration, from: usize, goodput: f64) {
        let gain = self.sample.goodput() / goodput - 1.0;
        let is_clear = !(-CLEAR_LOSS..=CLEAR_GAIN).contains(&gain);
        let is_decided = is_clear && self.sample.served >= WINDOW_ATTEMPTS;
        if !is_decided && !self.sample.is_full() {
            return;
        }
        if gain > GAIN {
            self.state = State::Steady;
            self.trial_interval = TRIAL_INTERVAL;
            let step = if gain > CLEAR_GAIN {
                LARGE_STEP
            } else {
                SMALL_STEP
            };
            self.plan_trial(now, self.upwards, step);
        } else {
            self.set(now, from);
            self.reverse_direction(now);
        }
    }

    /// A trial brought nothing: the next one goes the other way.
    fn reverse_direction(&mut self, now: Duration) {
        let upwards = !self.upwards && self.limit < self.ceiling;
        self.plan_trial(now + self.trial_interval, upwards, SMALL_STEP);
        self.double_trial_interval();
    }

    fn stop_trial(&mut self, now: Duration) {
        if let State::Trial { from, .. } = self.state {
            self.set(now, from);
            self.plan_trial(now + self.trial_interval, self.upwards, SMALL_STEP);
        }
    }

    fn plan_trial(&mut self, at: Duration, upwards: bool, step: f64) {
        self.next_trial = at;
        self.upwards = upwards;
        self.step = step;
    }

    fn double_trial_interval(&mut self) {
        self.trial_interval = (self.trial_interval * 2).min(TRIAL_INTERVAL_MAX);
    }

    /// The lower limit from which a trial went up.
    fn trial_from(&self) -> Option<usize> {
        match self.state {
            State::Trial { from, .. } if from < self.limit => Some(from),
            _ => None,
        }
    }

    fn set(&mut self, now: Duration, limit: usize) {
        self.limit = limit.clamp(1, self.ceiling);
        self.state = State::Steady;
        self.sample = Sample::since(now);
        self.window = Window::since(now);
    }
}
