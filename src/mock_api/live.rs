//! Settings of a live API.

use super::{
    clock::{Clock, micros},
    item_rate::ItemRate,
    streams::Streams,
    timeline::Timeline,
};

/// How an API lives: items are added, get votes and comments, are edited, deleted and killed, and profiles change.
///
/// All of this is a pure function of the seed, the rate, and the time that the clock shows. Two APIs whose clocks began at the
/// same time agree at every moment.
#[derive(Clone, Debug, PartialEq)]
pub struct Live {
    /// How many items are added, in the time of the clock.
    pub rate: ItemRate,
    /// What time it is. When it begins, `max_item` is the newest item.
    pub clock: Clock,
    /// After how many new items no more are added. What exists then changes for thirteen days more, and then settles.
    pub limit: Option<u32>,
    /// How event streams behave.
    pub streams: Streams,
}

impl Live {
    /// Adds items at this rate, as fast as time passes, from now on.
    #[must_use]
    pub fn new(rate: ItemRate) -> Self {
        Live {
            rate,
            clock: Clock::running(std::time::SystemTime::now(), 1.0),
            limit: None,
            streams: Streams::default(),
        }
    }

    /// Lets time pass `speed` times as fast, from now on.
    #[must_use]
    pub fn speed(self, speed: f64) -> Self {
        self.clock(Clock::running(std::time::SystemTime::now(), speed))
    }

    /// Uses this clock.
    #[must_use]
    pub fn clock(self, clock: Clock) -> Self {
        Live { clock, ..self }
    }

    /// Ends when this number of items was added.
    #[must_use]
    pub fn limit(self, items: u32) -> Self {
        Live {
            limit: Some(items),
            ..self
        }
    }

    /// Lets event streams behave so.
    #[must_use]
    pub fn streams(self, streams: Streams) -> Self {
        Live { streams, ..self }
    }

    pub(super) fn timeline(&self, seed: u64, max_item: i64, largest: i64) -> Timeline {
        let limit = self.limit.map_or(i64::MAX, i64::from);
        Timeline {
            seed,
            first_max: max_item,
            last_max: max_item.saturating_add(limit).min(largest),
            start: micros(self.clock.start()),
            interval: self.rate.interval(),
        }
    }
}
