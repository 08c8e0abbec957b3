//! How many requests may start in a second, learned from 429.
//!
//! Until the first 429 there is no limit. Then the rate is what the server accepted during the last second, less a little. It
//! grows while no more 429s come, slowly at first and then faster, so that a server that recovers is used again. A rate that
//! the requests do not reach for a while is forgotten. Pure: there is no clock and no timer in here.

use std::{collections::VecDeque, time::Duration};

/// The rate is taken from what was accepted in this span. One second is the span that most servers count in.
const LOOK_BACK: Duration = Duration::from_secs(1);

/// The look-back moves on in steps of this length, so that it needs ten numbers and not one per request.
const SLICE: Duration = Duration::from_millis(100);

/// Fewer attempts than this within the look-back teach no rate: a short run that meets a few 429s is not slowed down.
const MIN_ATTEMPTS: u32 = 20;

/// The new rate, as a part of what was accepted: just below what the server bears.
const BELOW_ACCEPTED: f64 = 0.98;

/// One slice lowers the rate to no less than this part. After a burst, a server that counts whole seconds accepts nothing for
/// a while; what it accepted then is far less than what it bears. Without this bound, the rate then starts at a quarter.
const LOWEST_CUT: f64 = 0.5;

/// However little was accepted, one request may start per second.
const MIN_RATE: f64 = 1.0;

/// Growth per second right after a 429. It doubles every second up to `GROWTH_MAX`, so that a server that recovered is used
/// again within about five seconds. Between 0.01 and 0.03 the answers of a steady server stay the same; 0.03 costs 6 % more
/// refusals and follows a recovery sooner.
const GROWTH_MIN: f64 = 0.03;
const GROWTH_MAX: f64 = 0.5;

/// The rate counts as reached, and may grow, if at least this part of it was asked for.
const REACHED: f64 = 0.7;

/// A rate that was not reached for this long limits nothing any more.
const FORGET_AFTER: Duration = Duration::from_secs(10);

/// The learned rate. `now` is the time since any fixed moment.
#[derive(Clone, Debug, Default)]
pub(super) struct LearnedRate {
    /// Requests per second; `None` while nothing has been learned.
    rate: Option<f64>,
    /// By which part the rate grows in a second at the moment.
    growth: f64,
    /// When the requests last came close to the rate.
    last_reached: Duration,
    /// When the current slice began, and what happened in it.
    slice_started: Duration,
    slice: Slice,
    /// The slices of the look-back, oldest first.
    recent: VecDeque<Slice>,
}

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
            self.close(now, Slice { lasted, ..slice });
        }
    }

    fn close(&mut self, now: Duration, slice: Slice) {
        self.recent.push_back(slice);
        let mut sum = self.look_back();
        while let Some(oldest) = self.recent.front()
            && sum.lasted - oldest.lasted >= LOOK_BACK
        {
            self.recent.pop_front();
            sum = self.look_back();
        }
        let seconds = sum.lasted.as_secs_f64();
        let asked = f64::from(sum.attempts()) / seconds;
        if slice.refused > 0 {
            // If nothing at all is accepted, the server is out or has banned us: that says nothing about a rate.
            if sum.accepted > 0 && (self.rate.is_some() || sum.attempts() >= MIN_ATTEMPTS) {
                self.lower(now, f64::from(sum.accepted) / seconds, asked);
            }
        } else if let Some(rate) = self.rate {
            if asked >= rate * REACHED {
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

    fn lower(&mut self, now: Duration, accepted: f64, asked: f64) {
        let before = self.rate.unwrap_or(asked);
        let rate = (accepted * BELOW_ACCEPTED).clamp(before * LOWEST_CUT, before);
        self.rate = Some(rate.max(MIN_RATE));
        self.growth = GROWTH_MIN;
        self.last_reached = now;
    }

    fn grow(&mut self, rate: f64, time: Duration) {
        // A slice is long if little ended in it. That must not let the rate leap.
        let seconds = time.as_secs_f64().min(1.0);
        self.rate = Some(rate * (1.0 + self.growth * seconds));
        self.growth = (self.growth * (1.0 + seconds)).min(GROWTH_MAX);
    }

    fn look_back(&self) -> Slice {
        self.recent.iter().fold(Slice::default(), Slice::add)
    }
}
