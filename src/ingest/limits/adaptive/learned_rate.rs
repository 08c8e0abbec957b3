//! The learned rate: how many requests may start in a second, learned from 429. Pure: the caller passes the time.
//!
//! There is no limit until the first 429. Then the rate is a little less than what the server accepted during the last second. It
//! grows while no more 429s come: slowly at first, then faster, so that a server that recovers is used again. If requests do not
//! reach the rate for a while, the rate is forgotten.

use std::{collections::VecDeque, time::Duration};

/// The rate is computed from what was accepted in this span, because most servers count requests per second.
const LOOK_BACK: Duration = Duration::from_secs(1);

/// The look-back moves in steps of this length. So it needs ten numbers instead of one per request.
const SLICE: Duration = Duration::from_millis(100);

/// No rate is learned from fewer attempts within the look-back, so that a few 429s do not slow down a short run.
const MIN_ATTEMPTS: u32 = 20;

/// The new rate, as a part of what was accepted: just below what the server accepts.
const BELOW_ACCEPTED: f64 = 0.98;

/// One slice lowers the rate to no less than this part. A server that counts whole seconds accepts nothing for a while after a
/// burst, which is far less than what it accepts on average. Without this bound, the rate then starts at a quarter of that.
const LOWEST_CUT: f64 = 0.5;

/// One request per second may always start, however little was accepted.
const MIN_RATE: f64 = 1.0;

/// Growth per second right after a 429. It doubles every second up to `GROWTH_MAX`, so that a server that recovered is fully used
/// within about five seconds. From 0.01 to 0.03, the answers per second of a steady server are the same. 0.03 costs 6 % more
/// refusals than 0.01 and follows a recovery sooner.
const GROWTH_MIN: f64 = 0.03;
const GROWTH_MAX: f64 = 0.5;

/// The rate counts as reached, and may grow, if at least this part of it was used.
const REACHED: f64 = 0.7;

/// A rate that was not reached for this long is forgotten.
const FORGET_AFTER: Duration = Duration::from_secs(10);

/// The learned rate. `now` is the time since any fixed moment.
#[derive(Clone, Debug, Default)]
pub(super) struct LearnedRate {
    /// Requests per second; `None` while nothing has been learned.
    rate: Option<f64>,
    /// The part by which the rate now grows per second.
    growth: f64,
    /// When the requests last came close to the rate.
    last_reached: Duration,
    /// When the current slice began.
    slice_started: Duration,
    /// What has ended in the current slice. Its `lasted` is set when it is closed.
    slice: Slice,
    /// The closed slices of the look-back, oldest first.
    recent: VecDeque<Slice>,
}

/// The attempts that ended within a short span of time.
#[derive(Clone, Copy, Debug, Default)]
struct Slice {
    lasted: Duration,
    accepted: u32,
    refused: u32,
}

impl Slice {
    fn add(self, other: &Self) -> Self {
        Self {
            lasted: self.lasted + other.lasted,
            accepted: self.accepted + other.accepted,
            refused: self.refused + other.refused,
        }
    }

    fn attempts(&self) -> u32 {
        self.accepted + self.refused
    }
}

impl LearnedRate {
    /// Requests that may start in a second, or `None` for any number.
    pub(super) fn per_second(&self) -> Option<f64> {
        self.rate
    }

    /// The share of attempts during the look-back that were refused.
    pub(super) fn refused_share(&self) -> f64 {
        let sum = self.look_back();
        f64::from(sum.refused) / f64::from(sum.attempts().max(1))
    }

    /// Takes into account that an attempt was accepted, or refused for coming too soon.
    pub(super) fn record(&mut self, now: Duration, accepted: bool) {
        if accepted {
            self.slice.accepted += 1;
        } else {
            self.slice.refused += 1;
        }
        let lasted = now.saturating_sub(self.slice_started);
        if lasted >= SLICE {
            self.slice_started = now;
            let slice = std::mem::take(&mut self.slice);
            self.close_slice(now, Slice { lasted, ..slice });
        }
    }

    /// Adds a slice to the look-back and adjusts the rate.
    fn close_slice(&mut self, now: Duration, slice: Slice) {
        self.recent.push_back(slice);
        let mut sum = self.look_back();
        while let Some(oldest) = self.recent.front()
            && sum.lasted - oldest.lasted >= LOOK_BACK
        {
            self.recent.pop_front();
            sum = self.look_back();
        }
        let seconds = sum.lasted.as_secs_f64();
        let requested = f64::from(sum.attempts()) / seconds;
        if slice.refused > 0 {
            // If nothing is accepted, the server is out or has banned this client. That says nothing about a rate.
            if sum.accepted > 0 && (self.rate.is_some() || sum.attempts() >= MIN_ATTEMPTS) {
                self.lower(now, f64::from(sum.accepted) / seconds, requested);
            }
        } else if let Some(rate) = self.rate {
            if requested >= rate * REACHED {
                self.last_reached = now;
                self.grow(rate, slice.lasted);
            } else if now.saturating_sub(self.last_reached) > FORGET_AFTER {
                *self = Self {
                    slice_started: now,
                    ..Self::default()
                };
            }
        }
    }

    /// `accepted` and `requested` are per second.
    fn lower(&mut self, now: Duration, accepted: f64, requested: f64) {
        let before = self.rate.unwrap_or(requested);
        let rate = (accepted * BELOW_ACCEPTED).clamp(before * LOWEST_CUT, before);
        self.rate = Some(rate.max(MIN_RATE));
        self.growth = GROWTH_MIN;
        self.last_reached = now;
    }

    fn grow(&mut self, rate: f64, time: Duration) {
        // A slice is long if few attempts ended in it. A long slice must not raise the rate far.
        let seconds = time.as_secs_f64().min(1.0);
        self.rate = Some(rate * (1.0 + self.growth * seconds));
        self.growth = (self.growth * (1.0 + seconds)).min(GROWTH_MAX);
    }

    /// The sum of the slices of the look-back.
    fn look_back(&self) -> Slice {
        self.recent.iter().fold(Slice::default(), Slice::add)
    }
}
