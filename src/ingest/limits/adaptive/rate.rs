//! The rate that a server was found to bear, from how many it accepted before it said that they are too many. Pure.

use std::{collections::VecDeque, time::Duration};

/// What was accepted within about this time tells the rate.
const LOOKED_BACK: Duration = Duration::from_secs(1);

/// Fewer attempts than this within that time tell none that was not known before.
const TELLING: f64 = 20.0;

/// However few were accepted, so many may start in a second.
const FLOOR: f64 = 1.0;

/// A rate that was not reached for so long is no limit any more.
const FORGOTTEN_AFTER: Duration = Duration::from_secs(10);

/// Growth in a second: close to the rate that was refused, at first past it, and at most. The first rate is often far too low,
/// as it is taken from a fraction of a second.
const GROWTH_NEAR: f64 = 0.01;
const GROWTH_PAST: f64 = 0.05;
const GROWTH_MAX: f64 = 0.5;

#[derive(Clone, Debug, Default)]
pub(crate) struct LearnedRate {
    cap: Option<f64>,
    /// What was asked for, in a second, when it was last refused.
    refused_at: f64,
    growth_past: f64,
    unreached: Duration,
    recent: VecDeque<Slice>,
}

#[derive(Clone, Copy, Debug)]
struct Slice {
    elapsed: Duration,
    accepted: u32,
    limited: u32,
}

impl LearnedRate {
    pub(crate) fn a_second(&self) -> Option<f64> {
        self.cap
    }

    #[must_use]
    pub(crate) fn after(mut self, elapsed: Duration, accepted: u32, limited: u32) -> Self {
        self.look_back(Slice {
            elapsed,
            accepted,
            limited,
        });
        let sum =
            |of: fn(&Slice) -> u32| self.recent.iter().map(|slice| f64::from(of(slice))).sum();
        let time: Duration = self.recent.iter().map(|slice| slice.elapsed).sum();
        let seconds = time.as_secs_f64().max(0.001);
        let (accepted, refused): (f64, f64) =
            (sum(|slice| slice.accepted), sum(|slice| slice.limited));
        let asked = (accepted + refused) / seconds;
        if limited > 0 && (self.cap.is_some() || accepted + refused >= TELLING) {
            // As it is taken of what was accepted, the answers to requests of before lower it no further.
            let share = refused / (accepted + refused);
            let borne = match accepted > 0.0 {
                true => accepted / seconds * (0.98 - 0.3 * share).max(0.9),
                false => self.cap.unwrap_or(asked) / 2.0,
            };
            let before = self.cap.unwrap_or(f64::INFINITY);
            self.cap = Some(borne.min(before).max(FLOOR));
            (self.refused_at, self.growth_past) = (before.min(asked), GROWTH_PAST);
            self.unreached = Duration::ZERO;
        } else if let Some(cap) = self.cap {
            self.grow(cap, asked, elapsed);
        }
        self
    }

    fn look_back(&mut self, slice: Slice) {
        self.recent.push_back(slice);
        let mut time: Duration = self.recent.iter().map(|slice| slice.elapsed).sum();
        while let Some(first) = self.recent.front()
            && time - first.elapsed >= LOOKED_BACK
        {
            time -= first.elapsed;
            self.recent.pop_front();
        }
    }

    fn grow(&mut self, cap: f64, asked: f64, elapsed: Duration) {
        if asked < cap * 0.7 {
            self.unreached += elapsed;
            if self.unreached > FORGOTTEN_AFTER {
                *self = Self::default();
            }
            return;
        }
        self.unreached = Duration::ZERO;
        let growth = match cap / self.refused_at {
            below if below < 0.9 => GROWTH_MAX,
            near if near < 1.05 => GROWTH_NEAR,
            _ => {
                // The server bears more than it did; nobody knows how much.
                self.growth_past *= 1.0 + elapsed.as_secs_f64();
                self.growth_past.min(GROWTH_MAX)
            }
        };
        self.cap = Some(cap * (1.0 + growth * elapsed.as_secs_f64()));
    }
}
