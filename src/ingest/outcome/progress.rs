//! A run's counters at one moment.

use std::time::Duration;

use serde::Serialize;

use crate::ingest::outcome::{
    failure::FailureKind,
    serialize::{by_kind, seconds},
};

/// A run's counters at one moment. While a run is under way, [`settled`](Progress::settled) is never more than `requested`.
///
/// Serialized, durations are seconds with a fraction, and `attempts_failed` has a number for each failure kind, by its name.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Progress {
    /// Ids read from the list so far, or all of them if the list knows its length.
    pub requested: u64,
    /// Ids whose record is committed.
    pub stored: u64,
    /// Records of these ids. This is the same number, unless an id is a page of many records
    /// ([`Source::records_in`](crate::Source::records_in)).
    pub records: u64,
    /// Ids that are committed as absent.
    pub absent: u64,
    /// Ids that are committed as failed.
    pub failed: u64,
    /// Ids without a committed outcome. Most of them are counted at the end of the run.
    pub not_attempted: u64,
    /// HTTP exchanges begun.
    pub attempts: u64,
    /// HTTP exchanges that were not the first of their id.
    pub retries: u64,
    /// Attempts answered with 429, too many requests.
    pub pushed_back: u64,
    /// How long attempts took, without the pipeline's own waits (for a permit, a connection or room in the backlog).
    pub latency: Latency,
    /// Connections opened.
    pub connections: u64,
    /// Bytes of bodies that were received completely.
    pub bytes: u64,
    /// Requests in flight at this moment.
    pub in_flight: u64,
    /// The most requests that were in flight at once.
    pub in_flight_peak: u64,
    /// Ids whose first attempt failed and that fetchers try again at this moment.
    pub being_retried: u64,
    /// Batches written because enough rows waited: a hundred, or [`Config::batch`](crate::Config::batch) if that is less.
    pub batches_full: u64,
    /// Batches written because their bodies reached 8 MiB.
    pub batches_heavy: u64,
    /// Batches written because a row had waited for [`Config::linger`](crate::Config::linger).
    pub batches_lingered: u64,
    /// Batches written because no more rows were coming.
    pub batches_last: u64,
    /// Time spent decoding batches. While one batch is decoded, the one before it may be written.
    #[serde(serialize_with = "seconds")]
    pub decode_time: Duration,
    /// Time spent writing batches, without decoding.
    #[serde(serialize_with = "seconds")]
    pub commit_time: Duration,
    /// The most uncommitted rows that Storage held at once.
    pub unsaved_peak: u64,
    /// Fetchers that died and were replaced.
    pub fetchers_replaced: u64,
    /// What was settled in the last minute, for a run that stays open for long.
    pub last_minute: LastMinute,
    /// Attempts that failed, indexed by [`FailureKind::index`].
    #[serde(serialize_with = "by_kind")]
    pub(crate) attempts_failed: [u64; FailureKind::COUNT],
}

impl Progress {
    /// Ids with a committed outcome.
    pub fn settled(&self) -> u64 {
        self.stored + self.absent + self.failed
    }

    /// Attempts that failed with this kind.
    pub fn attempts_failed(&self, kind: FailureKind) -> u64 {
        self.attempts_failed[kind.index()]
    }
}

/// What a run settled in the last minute; after its end, in its last one. Serialized, the span is in seconds with a fraction.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct LastMinute {
    /// The time that is looked at: 59 to 60 seconds, or less if the run is younger.
    #[serde(serialize_with = "seconds")]
    pub span: Duration,
    /// Ids that were settled in it: stored, absent or failed.
    pub settled: u64,
    /// Records that were stored in it.
    pub records: u64,
}

impl LastMinute {
    /// Ids settled per second.
    pub fn settled_per_second(&self) -> f64 {
        self.per_second(self.settled)
    }

    /// Records stored per second.
    pub fn records_per_second(&self) -> f64 {
        self.per_second(self.records)
    }

    /// Adds those of another run. The span is that of the older run.
    #[cfg(feature = "cli")]
    pub(crate) fn add(&mut self, other: Self) {
        self.span = self.span.max(other.span);
        self.settled += other.settled;
        self.records += other.records;
    }

    fn per_second(&self, count: u64) -> f64 {
        if self.span.is_zero() {
            return 0.0;
        }
        count as f64 / self.span.as_secs_f64()
    }
}

/// How long attempts took, to two significant digits. All values are zero if there was no attempt. Serialized, they are seconds
/// with a fraction.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Latency {
    /// Half of the attempts took no longer.
    #[serde(serialize_with = "seconds")]
    pub p50: Duration,
    /// 90 % of the attempts took no longer.
    #[serde(serialize_with = "seconds")]
    pub p90: Duration,
    /// 99 % of the attempts took no longer.
    #[serde(serialize_with = "seconds")]
    pub p99: Duration,
    /// The longest attempt.
    #[serde(serialize_with = "seconds")]
    pub max: Duration,
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn serialized_durations_are_seconds_and_failed_attempts_have_the_names_of_their_kinds() {
        let mut progress = Progress {
            stored: 3,
            decode_time: Duration::from_millis(1500),
            ..Progress::default()
        };
        progress.latency.p99 = Duration::from_millis(250);
        progress.attempts_failed[FailureKind::Timeout.index()] = 2;
        let json = serde_json::to_value(&progress).expect("plain data");
        assert_eq!(json["stored"], 3);
        assert_eq!(json["decode_time"], 1.5);
        assert_eq!(
            json["latency"],
            json!({"p50": 0.0, "p90": 0.0, "p99": 0.25, "max": 0.0})
        );
        assert_eq!(json["attempts_failed"]["timeout"], 2);
        assert_eq!(json["attempts_failed"]["storage"], 0);
    }
}
