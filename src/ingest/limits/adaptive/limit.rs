//! How many requests may be in flight: what a server refuses is not asked for, and where fewer bring more, fewer work. Pure.
//!
//! What brings more is tried out: for a moment fewer work (or, if some do not, more), and that stays so if more answers came.

use std::time::Duration;

use super::Window;

/// Fewer attempts than this are judged together with those of the next window: a handful prove nothing.
const JUDGED: u32 = 20;
/// If all were refused for so long, it is not for their number, and says nothing of it.
const OUT_AFTER: Duration = Duration::from_secs(1);

/// A trial compares as many answers as this, over as long a time, and sees no smaller gain.
const COMPARED: u32 = 50;
const COMPARED_TIME: Duration = Duration::from_millis(300);
const COMPARED_TIME_MAX: Duration = Duration::from_secs(5);
const GAIN: f64 = 0.05;
/// A trial that loses so much, or gains far more than a little, is over at once.
const LOSS: f64 = 0.15;
/// After such a gain, the next step is a large one.
const LARGE_GAIN: f64 = 0.2;

/// So many times fewer, or more, are tried: at first, since what far too many cost is lost every second; then; and at last.
const FIRST_STEP: f64 = 4.0;
const LARGE_STEP: f64 = 2.0;
const SMALL_STEP: f64 = 1.25;

/// From one trial that brought nothing to the next.
const TRIAL_EVERY: Duration = Duration::from_secs(2);
const TRIAL_EVERY_MAX: Duration = Duration::from_secs(60);

/// What was good before a failure is so again, but no more often than this.
const RESTORED_EVERY: Duration = Duration::from_secs(10);

/// In so many windows some were refused though they were alone: then it is not for their number.
const BLAMELESS_AFTER: u32 = 3;
const BLAMELESS_FOR: Duration = Duration::from_secs(30);
/// And so long it is for nothing, if it is not for their rate either.
const FORGIVEN_FOR: Duration = Duration::from_secs(300);

#[derive(Clone, Debug)]
pub(crate) struct Limit {
    ceiling: usize,
    limit: usize,
    now: Duration,
    /// Not yet judged.
    pending: Window,
    /// What came with this limit.
    steady: Window,
    trial: Option<Trial>,
    next_trial: Duration,
    trial_every: Duration,
    upwards: bool,
    step: f64,
    /// The last limit with which all was well, and when it was taken up again after a failure.
    good: Option<usize>,
    restore: Option<usize>,
    restored: Option<Duration>,
    /// Failures before this time are of requests from before the limit was lowered.
    deaf_until: Duration,
    refused_alone: u32,
    blameless_until: Duration,
}

#[derive(Clone, Copy, Debug)]
struct Trial {
    from: usize,
    reference: f64,
    /// What ends before this is still of the limit before.
    counts_from: Duration,
    counted: Window,
}

impl Limit {
    pub(crate) fn new(ceiling: usize) -> Self {
        Self {
            ceiling,
            limit: ceiling,
            now: Duration::ZERO,
            pending: Window::default(),
            steady: Window::default(),
            trial: None,
            next_trial: Duration::ZERO,
            trial_every: TRIAL_EVERY,
            upwards: false,
            step: FIRST_STEP,
            good: None,
            restore: None,
            restored: None,
            deaf_until: Duration::ZERO,
            refused_alone: 0,
            blameless_until: Duration::ZERO,
        }
    }

    pub(crate) fn at_once(&self) -> usize {
        self.limit
    }

    /// Whether 503s were found to come however few are in flight.
    pub(crate) fn is_blameless(&self) -> bool {
        self.now < self.blameless_until
    }

    /// Nothing that is asked less would make an end of the 503s.
    pub(crate) fn forgive(&mut self) {
        self.blame_nobody_for(FORGIVEN_FOR);
    }

    /// All may ask again, whatever 503s come.
    fn blame_nobody_for(&mut self, time: Duration) {
        self.blameless_until = self.now + time;
        self.set(self.ceiling);
    }

    /// `rate_bound` says that it is a rate that holds requests back, so that nothing can be learned of their number.
    #[must_use]
    pub(crate) fn after(mut self, window: &Window, rate_bound: bool) -> Self {
        self.now += window.elapsed;
        self.pending.add(window);
        let tells = self.pending.answers + self.pending.broken > 0;
        if tells && self.pending.ended() >= JUDGED {
            let window = std::mem::take(&mut self.pending);
            self.judge(&window, rate_bound);
        } else if !tells && self.pending.elapsed >= OUT_AFTER {
            self.pending = Window::default();
        }
        self
    }

    fn judge(&mut self, window: &Window, rate_bound: bool) {
        if window.broken * 2 > window.ended() {
            return self.broke(window);
        }
        if window.refused > 0 && !self.is_blameless() {
            return self.refused(window);
        }
        self.refused_alone = 0;
        if window.answers == 0 || window.broken * 10 > window.ended() {
            return self.stop_trial();
        }
        if let Some(good) = self.restore.take() {
            self.restored = Some(self.now);
            return self.set(good);
        }
        self.good = Some(self.trial.map_or(self.limit, |trial| trial.from));
        if rate_bound || window.limited > 0 {
            return self.stop_trial();
        }
        match self.trial {
            Some(trial) => self.go_on_trying(trial, window),
            None => self.consider_trial(window),
        }
    }

    /// Most attempts brought no answer: fewer work, until answers come again.
    fn broke(&mut self, window: &Window) {
        self.stop_trial();
        if self.now < self.deaf_until {
            return;
        }
        let may_restore = self
            .restored
            .is_none_or(|restored| self.now - restored >= RESTORED_EVERY);
        if let Some(good) = self.good.take()
            && may_restore
        {
            self.restore = Some(good);
        }
        self.deaf_until = self.now + window.broken_took / window.broken.max(1);
        self.set(self.limit / 2);
        (self.upwards, self.next_trial) = (true, self.now);
    }

    /// Some were refused. Their places were left empty, so about those that are left are as many as the server bears; how many
    /// the answers kept busy tells it too.
    fn refused(&mut self, window: &Window) {
        if window.refused_alone > 0 {
            self.stop_trial();
            self.refused_alone += u32::from(window.answers > 0);
            if self.refused_alone >= BLAMELESS_AFTER {
                self.refused_alone = 0;
                self.blame_nobody_for(BLAMELESS_FOR);
            }
            return;
        }
        self.refused_alone = 0;
        let share = f64::from(window.refused) / f64::from(window.ended());
        if share * 4.0 * (self.limit as f64) < 1.0 {
            // One place less would cost more than these do.
            return;
        }
        let busy = window.answers_took.as_secs_f64() / window.elapsed.as_secs_f64().max(0.001);
        let left = self.limit.saturating_sub(window.refused as usize);
        let borne = left.max(busy.ceil() as usize).min(self.limit);
        let least = match self.trial.take() {
            Some(trial) if trial.from < self.limit => {
                self.trial_every = (self.trial_every * 2).min(TRIAL_EVERY_MAX);
                trial.from
            }
            _ => {
                if borne <= self.limit / 2 {
                    self.trial_every = TRIAL_EVERY;
                }
                1
            }
        };
        self.set(borne.max(least));
        (self.upwards, self.step) = (true, SMALL_STEP);
        self.next_trial = self.now + self.trial_every;
    }

    fn consider_trial(&mut self, window: &Window) {
        self.steady.add(window);
        if self.steady.elapsed > COMPARED_TIME_MAX {
            self.steady = *window;
        }
        if self.now < self.next_trial || !enough(&self.steady) {
            return;
        }
        let (from, steady) = (self.limit, self.steady);
        self.set(match self.upwards {
            true => (from as f64 * self.step).ceil() as usize,
            false => (from as f64 / self.step) as usize,
        });
        if self.limit == from {
            return self.turn_round();
        }
        self.trial = Some(Trial {
            from,
            reference: steady.goodput(),
            counts_from: self.now + steady.latency(),
            counted: Window::default(),
        });
    }

    fn go_on_trying(&mut self, mut trial: Trial, window: &Window) {
        if self.now - window.elapsed < trial.counts_from {
            return;
        }
        trial.counted.add(window);
        self.trial = Some(trial);
        let gain = trial.counted.goodput() / trial.reference - 1.0;
        let clear = !(-LOSS..=LARGE_GAIN * 2.0).contains(&gain)
            && trial.counted.elapsed > trial.counted.latency()
            && trial.counted.answers >= JUDGED;
        if !clear && !enough(&trial.counted) {
            return;
        }
        let noise = 1.0 / f64::from(trial.counted.answers.max(1)).sqrt();
        // More at once should bring as much more; half of that is seen through the noise.
        let hoped = (self.limit as f64 / trial.from as f64 - 1.0).abs() / 2.0;
        if gain > noise.min(hoped).max(GAIN) {
            self.trial = None;
            self.steady = trial.counted;
            self.step = match gain > LARGE_GAIN {
                true => LARGE_STEP,
                false => SMALL_STEP,
            };
            (self.next_trial, self.trial_every) = (self.now, TRIAL_EVERY);
        } else {
            self.stop_trial();
            self.turn_round();
        }
    }

    /// What was tried brought nothing; next time the other way is tried, later.
    fn turn_round(&mut self) {
        self.step = SMALL_STEP;
        self.upwards = !self.upwards && self.limit < self.ceiling;
        self.next_trial = self.now + self.trial_every;
        self.trial_every = (self.trial_every * 2).min(TRIAL_EVERY_MAX);
    }

    fn stop_trial(&mut self) {
        self.steady = Window::default();
        if let Some(trial) = self.trial.take() {
            self.set(trial.from);
            self.next_trial = self.now + self.trial_every;
        }
    }

    fn set(&mut self, limit: usize) {
        self.limit = limit.clamp(1, self.ceiling);
        self.steady = Window::default();
    }
}

/// Whether this much can be compared.
fn enough(seen: &Window) -> bool {
    let long = seen.elapsed >= COMPARED_TIME.max(seen.latency());
    (long && seen.answers >= COMPARED) || seen.elapsed >= COMPARED_TIME_MAX
}
