//! When each item appears, and which id is the newest at a moment.
//!
//! Moments are in microseconds since 1970, in the time of the mock API, which need not be that of the machine.

use std::ops::RangeInclusive;

use super::rng::{Purpose, Rng};

/// The time of the first item: Monday 9 October 2006, in Unix seconds.
pub(super) const FIRST_TIME: i64 = 1_160_418_111;
/// The time from one id to the next. With it item 46.4 million is of January 2026, as on the real site.
const SECONDS_PER_ITEM: u32 = 13;

pub(super) const MICROS_PER_SECOND: i64 = 1_000_000;

/// The time of an item of an API that stands still, in Unix seconds. A larger id has a later time.
pub(super) fn still_time(seed: u64, id: i64) -> i64 {
    let jitter = Rng::new(seed, Purpose::Clock, id as u64).below(SECONDS_PER_ITEM);
    FIRST_TIME + (id - 1) * i64::from(SECONDS_PER_ITEM) + i64::from(jitter)
}

/// When the items of a live API appear. Those that exist at the start are as far apart as those of an API that stands still.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Timeline {
    pub(super) seed: u64,
    /// The newest id at the start.
    pub(super) first_max: i64,
    /// The newest id that there will ever be.
    pub(super) last_max: i64,
    /// When the live part starts.
    pub(super) start: i64,
    /// The time from one new item to the next. It is not 0.
    pub(super) interval: i64,
}

impl Timeline {
    /// The newest id at `now`.
    pub(super) fn max_item(&self, now: i64) -> i64 {
        let added = (now - self.start).max(0) / self.interval;
        self.first_max.saturating_add(added).min(self.last_max)
    }

    /// How many items were added until `now`.
    pub(super) fn added(&self, now: i64) -> i64 {
        self.max_item(now) - self.first_max
    }

    /// When the item appears.
    pub(super) fn birth(&self, id: i64) -> i64 {
        if id > self.first_max {
            return self.start + (id - self.first_max) * self.interval;
        }
        still_time(self.seed, id) * MICROS_PER_SECOND + self.shift()
    }

    /// The ids that appear after `from` and not after `to`. At each end it may name one id too many.
    pub(super) fn born(&self, from: i64, to: i64) -> RangeInclusive<i64> {
        self.newest_at(from).max(1)..=self.newest_at(to)
    }

    /// The newest id at a moment, which may be before the start. Before the start it may be one more.
    fn newest_at(&self, moment: i64) -> i64 {
        if moment >= self.start {
            return self.max_item(moment);
        }
        let since_first = moment - self.shift() - FIRST_TIME * MICROS_PER_SECOND;
        let id = since_first.div_euclid(i64::from(SECONDS_PER_ITEM) * MICROS_PER_SECOND) + 1;
        id.clamp(0, self.first_max)
    }

    /// How much later the first items appear than those of an API that stands still.
    fn shift(&self) -> i64 {
        let still_start = FIRST_TIME + self.first_max * i64::from(SECONDS_PER_ITEM);
        self.start - still_start * MICROS_PER_SECOND
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_appear_in_order_and_the_newest_one_is_the_last_that_appeared() {
        let timeline = Timeline {
            seed: 1,
            first_max: 1_000,
            last_max: 1_500,
            start: 1_800_000_000 * MICROS_PER_SECOND + 17,
            interval: 333_333,
        };
        assert!((1..1_500).all(|id| timeline.birth(id) < timeline.birth(id + 1)));
        for id in 1_001..=1_500 {
            assert_eq!(timeline.max_item(timeline.birth(id)), id);
            assert_eq!(timeline.max_item(timeline.birth(id) - 1), id - 1);
        }
        assert_eq!(timeline.max_item(i64::MAX / 2), 1_500);
        assert_eq!(timeline.max_item(0), 1_000);
        let day = 86_400 * MICROS_PER_SECOND;
        for from in (-day..day)
            .step_by(97_000_001)
            .map(|at| timeline.start + at / 50)
        {
            let to = from + 60 * MICROS_PER_SECOND;
            let range = timeline.born(from, to);
            for id in 1..=1_500 {
                let is_born = timeline.birth(id) > from && timeline.birth(id) <= to;
                assert!(!is_born || range.contains(&id), "{id} of {range:?}");
            }
            let extra = range.filter(|&id| timeline.birth(id) <= from).count();
            assert!(extra <= 1, "{extra}");
        }
    }
}
