//! Counts what a run settled in the last minute. Its memory is bounded, however long the run stays open.

use std::{
    collections::VecDeque,
    sync::{Mutex, MutexGuard, OnceLock, PoisonError},
    time::Duration,
};

use tokio::time::Instant;

use crate::ingest::outcome::progress::LastMinute;

/// The seconds of a minute, the one under way included.
const SECONDS: u64 = 60;

/// See the [module](self).
#[derive(Debug)]
pub(super) struct LastMinuteCounter {
    began: Instant,
    /// When the run ended. The summary does not change after that.
    ended: OnceLock<Instant>,
    /// The seconds of the last minute in which something was settled, oldest first.
    seconds: Mutex<VecDeque<Second>>,
}

#[derive(Debug)]
struct Second {
    /// The whole seconds since the run began.
    number: u64,
    settled: u64,
    records: u64,
}

impl Default for LastMinuteCounter {
    fn default() -> Self {
        Self {
            began: Instant::now(),
            ended: OnceLock::new(),
            seconds: Mutex::default(),
        }
    }
}

impl LastMinuteCounter {
    fn seconds(&self) -> MutexGuard<'_, VecDeque<Second>> {
        self.seconds.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Ids were settled, with this number of records.
    pub(super) fn record(&self, settled: u64, records: u64) {
        let number = self.began.elapsed().as_secs();
        let mut seconds = self.seconds();
        if let Some(last) = seconds.back_mut().filter(|last| last.number == number) {
            last.settled += settled;
            last.records += records;
            return;
        }
        seconds.retain(|second| second.number + SECONDS > number);
        seconds.push_back(Second {
            number,
            settled,
            records,
        });
    }

    /// The run has ended.
    pub(super) fn end(&self) {
        self.ended.get_or_init(Instant::now);
    }

    pub(super) fn summary(&self) -> LastMinute {
        let now = self.ended.get().copied().unwrap_or_else(Instant::now);
        let elapsed = now - self.began;
        let first = (elapsed.as_secs() + 1).saturating_sub(SECONDS);
        let mut sum = LastMinute {
            span: elapsed - Duration::from_secs(first),
            ..LastMinute::default()
        };
        let seconds = self.seconds();
        for second in seconds.iter().filter(|second| second.number >= first) {
            sum.settled += second.settled;
            sum.records += second.records;
        }
        sum
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::sleep;

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[tokio::test(start_paused = true)]
    async fn rates_are_those_of_the_last_minute_and_memory_does_not_grow_over_weeks() {
        let counter = LastMinuteCounter::default();
        assert_eq!(counter.summary().settled_per_second(), 0.0);
        counter.record(10, 30);
        sleep(5 * SECOND).await;
        assert_eq!(counter.summary().settled_per_second(), 2.0);
        assert_eq!(counter.summary().records_per_second(), 6.0);
        for _ in 0..30 {
            for _ in 0..120 {
                sleep(SECOND / 2).await;
                counter.record(4, 4);
            }
            let rate = counter.summary().settled_per_second();
            assert!((rate - 8.0).abs() < 0.3, "{rate}");
            assert!(counter.seconds().len() <= 60);
            sleep(1000 * SECOND).await;
            assert_eq!(counter.summary().settled, 0);
        }
        counter.record(7, 7);
        counter.end();
        let last = counter.summary();
        sleep(1000 * SECOND).await;
        assert_eq!((counter.summary(), last.settled), (last, 7));
    }
}
