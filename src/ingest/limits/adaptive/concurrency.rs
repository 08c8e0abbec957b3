//! The in-flight limit: how many requests may be in flight, learned from how attempts end. Pure: the caller passes the time.
//!
//! The aim is the most answers per second. Refusals and failures lower the limit. Trials find a better limit: for a moment the
//! limit is higher or lower, and it stays so if more answers came.
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
//!     │   └─ most attempts are answered again: back to the limit before the failures
//!     │
//!     └─ most attempts fail: half the limit ─▶ ┌────────────┐
//!                                              │ Recovering │ ── they still fail: half the limit again
//!                                              └────────────┘
//!   In any state, refusals lower the limit to what the server accepted. Then the state is Steady, and the next trial goes up.
//! ```
//!
//! Attempts are judged in windows of 100 ms or more. While a window is open, each refusal lowers the limit by one at once.
//! Otherwise each refused request would make room for a waiting one, which would be refused, too.
//!
//! An attempt that began before the limit was last set says nothing about the present limit, and is not counted.
//!
//! The numbers below were chosen by simulation: the servers of the tests and 260 variations of them (latency, number of
//! fetchers, strictness, chance). Each number was changed alone. Where that made a difference, the comment says so.

use std::time::Duration;

use super::lowering_test::LoweringTest;
use crate::ingest::limits::signal::Signal;

/// The first limit: the default number of fetchers. Trials raise it if there are more fetchers.
///
/// On a healthy server, a start at the ceiling would save some tenths of a second. But if latency grows with load, 256 requests
/// at once take so long that nothing is learned for many seconds. With 8, a large number of fetchers is reached too late. With
/// 32, a server that is fastest with 8 loses 4 % more answers.
const INITIAL_LIMIT: usize = 16;

/// A window lasts at least this long.
const WINDOW_TIME: Duration = Duration::from_millis(100);

/// A window holds at least this many attempts. Fewer depend too much on chance (with 10, some servers lose a tenth of their
/// answers or more), and a few failures must not slow down a short run.
const WINDOW_ATTEMPTS: u32 = 20;

/// Trials compare the answers per second of samples of this size. With 50, chance decides too often. With 200, slow servers wait
/// too long for a better limit.
const SAMPLE_ANSWERS: u32 = 100;

/// A sample that is older than this may contain a pause, or a server that has changed.
const SAMPLE_STALE_AFTER: Duration = Duration::from_secs(10);

/// A trial succeeds if its answers per second grow by more than this part. Values from 0.02 to 0.05 make no difference. With
/// 0.08, the limit stays too far from the best one.
const GAIN: f64 = 0.05;

/// A trial that loses more than this is ended before its sample is full. Without this, a server whose latency grows with load
/// loses 5 % more answers.
const CLEAR_LOSS: f64 = 0.15;

/// A trial that gains more than this is ended before its sample is full, and the next step is large. 0.2 is as good.
const CLEAR_GAIN: f64 = 0.4;

/// A trial multiplies or divides the limit by this when the limit is far from the best one: at the start and after a clear gain.
/// Three such trials raise 16 to 1024.
const LARGE_STEP: f64 = 4.0;

/// All other trials multiply or divide the limit by this. It finds the best answers per second to within a few percent.
const SMALL_STEP: f64 = 1.25;

/// The time from a failed trial to the next trial. It doubles with each failed trial, because a trial costs up to a fifth of the
/// answers while it lasts. A success resets it. One second is as good, but disturbs the server more.
const TRIAL_INTERVAL: Duration = Duration::from_secs(2);

/// The longest time from a failed trial to the next. 16 seconds are as good, but disturb the server more.
const TRIAL_INTERVAL_MAX: Duration = Duration::from_secs(60);

/// After failures, the limit returns to its value before them, but no more often than this: if the server fails again so soon,
/// that limit may be the reason. Without this pause, a server whose latency grew beyond the timeout loses a tenth of its answers.
const RECOVER_INTERVAL: Duration = Duration::from_secs(10);

/// The in-flight limit. `now` is the time since any fixed moment.
#[derive(Clone, Debug)]
pub(super) struct ConcurrencyLimit {
    /// The highest limit: the number of fetchers.
    ceiling: usize,
    /// The limit. While a window is open, refusals lower it further: see [`limit`](Self::limit).
    limit: usize,
    /// Whether a trial or a recovery is under way.
    state: ConcurrencyState,
    /// The attempts that ended since the last judgement.
    window: Window,
    /// The answers that the present limit brought.
    sample: Sample,
    /// When the next trial may begin.
    next_trial: Duration,
    /// Whether the next trial raises the limit.
    upwards: bool,
    /// The factor of the next trial.
    step: f64,
    /// How long to wait after the next trial, if it fails.
    trial_interval: Duration,
    /// From this time on, the limit may return to its value before a failure.
    may_recover_from: Duration,
    /// Tests whether a lower limit brings fewer refusals.
    lowering_test: LoweringTest,
}

#[derive(Clone, Copy, Debug)]
enum ConcurrencyState {
    /// The limit is kept until the next trial.
    Steady,
    /// Another limit is tried.
    Trial {
        /// The limit before.
        from: usize,
        /// The answers per second before.
        goodput: f64,
    },
    /// Most attempts failed. After the first good window, the limit is `to` again.
    Recovering { to: usize },
}

/// The attempts that ended within a span of time.
#[derive(Clone, Copy, Debug, Default)]
struct Window {
    started: Duration,
    /// Attempts that were served.
    served: u32,
    /// The sum of the times that these took.
    served_took: Duration,
    /// 503s after which an attempt was served that had begun before them. So the server was working.
    refused: u32,
    /// The other 503s. The server may be out; then they say nothing about the number of requests in flight.
    unconfirmed: u32,
    /// When the last 503 came.
    last_refused: Duration,
    /// 429s.
    limited: u32,
    /// Attempts without a usable answer.
    unreachable: u32,
    /// Whether more than half of the limit was in flight. Otherwise something else than the limit holds requests back.
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
            Signal::Unavailable { .. } => {
                self.unconfirmed += 1;
                self.last_refused = now;
            }
            Signal::TooManyRequests { .. } => self.limited += 1,
            Signal::Unreachable => self.unreachable += 1,
            Signal::Neutral | Signal::Unsendable => {}
        }
    }

    /// An attempt that began at `began` was served. It confirms the refusals if it began before the last of them. Otherwise the
    /// server was out until then, and nothing before `began` counts.
    fn confirm_refusals(&mut self, began: Duration) {
        if began <= self.last_refused {
            self.refused += std::mem::take(&mut self.unconfirmed);
        } else {
            *self = Self::since(began);
        }
    }

    /// How many attempts ended, without unconfirmed and neutral ones.
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
    /// When the limit was set.
    since: Duration,
    /// When the first attempt ended. The sample's time starts here, so this attempt itself is not counted.
    first_ended: Option<Duration>,
    /// The time from then to the end of the last attempt.
    lasted: Duration,
    /// The attempts after the first.
    served: u32,
    /// The sum of the times that these took.
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
            state: ConcurrencyState::Steady,
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

    /// Raises the highest limit.
    pub(super) fn raise_ceiling(&mut self, ceiling: usize) {
        self.ceiling = self.ceiling.max(ceiling);
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

    /// Raises the limit to the ceiling, because refusals do not depend on it.
    pub(super) fn raise_to_ceiling(&mut self, now: Duration) {
        self.set(now, self.ceiling);
    }

    /// Takes the end of an attempt into account. `took` is how long the attempt took, `in_flight` how many requests were in
    /// flight when it ended, itself included.
    ///
    /// Returns whether lowering the limit helps: `false` if it is now clear that a lower limit brings no fewer refusals.
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
            // A rate or a lack of ids holds requests back, so nothing can be learned about the number in flight.
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
            ConcurrencyState::Recovering { to } => Some(to),
            _ if now >= self.may_recover_from => Some(self.limit),
            _ => None,
        };
        self.set(now, self.limit / 2);
        match recover_to {
            Some(to) => self.state = ConcurrencyState::Recovering { to },
            None => self.plan_trial(now, true, SMALL_STEP),
        }
    }

    /// Some attempts were refused while others were served. Returns whether lowering the limit helps.
    fn on_refusals(&mut self, now: Duration, window: &Window) -> bool {
        let share = f64::from(window.refused) / f64::from(window.ended());
        let limit = self.limit as f64;
        if self
            .lowering_test
            .shows_no_help(now, limit, share, Duration::ZERO)
        {
            return false;
        }
        // Two estimates of what the server accepts. The first: the limit less one for each refusal. It is too low if one place in
        // flight was refused several times. The second: how many requests were being served on average.
        let time = now.saturating_sub(window.started).as_secs_f64();
        let served_at_once = (window.served_took.as_secs_f64() / time).ceil() as usize;
        let not_refused = self.limit.saturating_sub(window.refused as usize);
        let mut accepted = not_refused.max(served_at_once).min(self.limit);
        if let Some(from) = self.trial_from() {
            accepted = accepted.max(from);
            self.double_trial_interval();
        } else if accepted <= self.limit / 2 {
            // The server has changed.
            self.trial_interval = TRIAL_INTERVAL;
        }
        self.set(now, accepted);
        self.plan_trial(now + self.trial_interval, true, SMALL_STEP);
        true
    }

    /// No attempt was refused, most were served, and the limit holds requests back.
    fn on_success(&mut self, now: Duration) {
        match self.state {
            ConcurrencyState::Recovering { to } => {
                self.may_recover_from = now + RECOVER_INTERVAL;
                self.set(now, to);
            }
            ConcurrencyState::Trial { from, goodput } => self.judge_trial(now, from, goodput),
            ConcurrencyState::Steady if self.sample.lasted > SAMPLE_STALE_AFTER => {
                self.sample = Sample::since(now);
            }
            ConcurrencyState::Steady if now >= self.next_trial && self.sample.is_full() => {
                self.start_trial(now);
            }
            ConcurrencyState::Steady => {}
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
            self.state = ConcurrencyState::Trial { from, goodput };
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
            self.state = ConcurrencyState::Steady;
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

    /// A trial brought no gain: the next one goes in the other direction.
    fn reverse_direction(&mut self, now: Duration) {
        let upwards = !self.upwards && self.limit < self.ceiling;
        self.plan_trial(now + self.trial_interval, upwards, SMALL_STEP);
        self.double_trial_interval();
    }

    /// Ends a trial without a result.
    fn stop_trial(&mut self, now: Duration) {
        if let ConcurrencyState::Trial { from, .. } = self.state {
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

    /// The limit before the trial, if the trial raised it.
    fn trial_from(&self) -> Option<usize> {
        match self.state {
            ConcurrencyState::Trial { from, .. } if from < self.limit => Some(from),
            _ => None,
        }
    }

    fn set(&mut self, now: Duration, limit: usize) {
        self.limit = limit.clamp(1, self.ceiling);
        self.state = ConcurrencyState::Steady;
        self.sample = Sample::since(now);
        self.window = Window::since(now);
    }
}
