//! What the actors count while a run lasts. Any thread may read them.

use std::{
    fmt,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use crate::ingest::{
    http::error::AttemptError,
    outcome::FailureKind,
    stats::latency::{Latencies, Latency},
    stats::metrics::Meters,
};

/// A number that only its run's actors change, and anybody may look at.
#[derive(Debug, Default)]
pub(crate) struct Count(AtomicU64);

impl Count {
    pub(crate) fn add(&self, more: u64) {
        self.0.fetch_add(more, Relaxed);
    }

    pub(crate) fn get(&self) -> u64 {
        self.0.load(Relaxed)
    }

    fn raise_to(&self, at_least: u64) {
        self.0.fetch_max(at_least, Relaxed);
    }
}

/// A number that goes up and down, and remembers its peak.
#[derive(Debug, Default)]
pub(crate) struct Gauge {
    now: Count,
    peak: Count,
}

impl Gauge {
    /// Counts one until the guard is dropped.
    pub(crate) fn hold(&self) -> impl Drop + '_ {
        struct Held<'a>(&'a Gauge);
        impl Drop for Held<'_> {
            fn drop(&mut self) {
                self.0.now.0.fetch_sub(1, Relaxed);
            }
        }
        self.peak.raise_to(self.now.0.fetch_add(1, Relaxed) + 1);
        Held(self)
    }
}

/// Why a batch was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Trigger {
    Rows,
    Bytes,
    Linger,
    End,
}

/// One run's counters.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    pub(crate) requested: Count,
    pub(crate) stored: Count,
    pub(crate) absent: Count,
    pub(crate) failed: Count,
    pub(crate) not_attempted: Count,
    attempts: Count,
    retries: Count,
    attempts_failed: [Count; FailureKind::ALL.len()],
    pushed_back: Count,
    latency: Latencies,
    pub(crate) connections: Count,
    pub(crate) bytes: Count,
    pub(crate) in_flight: Gauge,
    pub(crate) being_retried: Gauge,
    batches: [Count; 4],
    commit_micros: Count,
    unsaved_peak: Count,
    pub(crate) fetchers_replaced: Count,
    meters: Metered,
}

/// The metrics of the pipeline that took the run, once one has.
#[derive(Default)]
struct Metered(OnceLock<Arc<Meters>>);

impl fmt::Debug for Metered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Metered").finish_non_exhaustive()
    }
}

impl Counters {
    /// From now on the pipeline's metrics count what this counts.
    pub(crate) fn meter(&self, meters: Arc<Meters>) {
        // A run is one pipeline's.
        let _ = self.meters.0.set(meters);
    }

    pub(crate) fn meters(&self) -> Option<&Meters> {
        self.meters.0.get().map(Arc::as_ref)
    }

    /// `number` is the attempt's, from 1.
    pub(crate) fn attempt(&self, number: u32) {
        self.attempts.add(1);
        let meters = self.meters();
        if let Some(meters) = meters {
            meters.attempts.increment(1);
        }
        if number > 1 {
            self.retries.add(1);
            if let Some(meters) = meters {
                meters.retries.increment(1);
            }
        }
    }

    /// Exchanges that a stale connection cost; they do not count against their id.
    pub(crate) fn resent(&self, count: u64) {
        self.attempts.add(count);
        self.retries.add(count);
        if let Some(meters) = self.meters() {
            meters.attempts.increment(count);
            meters.retries.increment(count);
        }
    }

    pub(crate) fn attempt_took(&self, time: Duration) {
        self.latency.record(time);
        if let Some(meters) = self.meters() {
            meters.attempt_seconds.record(time);
        }
    }

    pub(crate) fn attempt_failed(&self, error: &AttemptError) {
        self.attempts_failed[error.kind().index()].add(1);
        if matches!(error, AttemptError::Status { code: 429, .. }) {
            self.pushed_back.add(1);
        }
    }

    pub(crate) fn batch(&self, trigger: Trigger, rows: usize, took: Duration) {
        if let Some(meters) = self.meters() {
            meters.batch(trigger, rows, took);
        }
        self.batches[trigger as usize].add(1);
        self.commit_micros
            .add(u64::try_from(took.as_micros()).unwrap_or(u64::MAX));
    }

    pub(crate) fn settled(&self, stored: usize, absent: usize, failed: usize) {
        self.stored.add(stored as u64);
        self.absent.add(absent as u64);
        self.failed.add(failed as u64);
        if let Some(meters) = self.meters() {
            meters.settled(stored, absent, failed);
        }
    }

    /// Rows that wait in Storage for their batch.
    pub(crate) fn waiting(&self, rows: usize) {
        if let Some(meters) = self.meters() {
            meters.at_storage.set(rows as f64);
        }
    }

    pub(crate) fn unsaved(&self, rows: usize) {
        self.unsaved_peak.raise_to(rows as u64);
    }

    /// All of them at this moment.
    pub(crate) fn snapshot(&self) -> Progress {
        Progress {
            requested: self.requested.get(),
            stored: self.stored.get(),
            absent: self.absent.get(),
            failed: self.failed.get(),
            not_attempted: self.not_attempted.get(),
            attempts: self.attempts.get(),
            retries: self.retries.get(),
            attempts_failed: self.attempts_failed.each_ref().map(Count::get),
            pushed_back: self.pushed_back.get(),
            latency: self.latency.summary(),
            connections: self.connections.get(),
            bytes: self.bytes.get(),
            in_flight: self.in_flight.now.get(),
            in_flight_peak: self.in_flight.peak.get(),
            being_retried: self.being_retried.now.get(),
            batches_full: self.batches[Trigger::Rows as usize].get(),
            batches_heavy: self.batches[Trigger::Bytes as usize].get(),
            batches_lingered: self.batches[Trigger::Linger as usize].get(),
            batches_last: self.batches[Trigger::End as usize].get(),
            commit_time: Duration::from_micros(self.commit_micros.get()),
            unsaved_peak: self.unsaved_peak.get(),
            fetchers_replaced: self.fetchers_replaced.get(),
        }
    }
}

/// A run's counters at one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// Ids read from the list so far, or all of them where the list told its length.
    pub requested: u64,
    /// Ids whose record is committed.
    pub stored: u64,
    /// Ids of which the API said that there is no record; that is committed.
    pub absent: u64,
    /// Ids that failed; that is committed.
    pub failed: u64,
    /// Ids without a committed outcome, counted at the end of the run.
    pub not_attempted: u64,
    /// HTTP exchanges begun.
    pub attempts: u64,
    /// Those of them that were not an id's first.
    pub retries: u64,
    /// Attempts that failed, by [`FailureKind::index`].
    pub attempts_failed: [u64; FailureKind::ALL.len()],
    /// Those of them that were answered 429, too many requests.
    pub pushed_back: u64,
    /// How long attempts took, be they successes or failures.
    pub latency: Latency,
    /// Connections opened.
    pub connections: u64,
    /// Bytes of bodies received whole.
    pub bytes: u64,
    /// Requests in flight at this moment.
    pub in_flight: u64,
    /// The most requests that were in flight at once.
    pub in_flight_peak: u64,
    /// Ids at this moment that failed before and wait for another attempt, or are at it.
    pub being_retried: u64,
    /// Batches written because enough rows waited: a hundred, or [`Config::batch`](crate::Config::batch) if that is less.
    pub batches_full: u64,
    /// Batches written because their bodies reached 8 MiB.
    pub batches_heavy: u64,
    /// Batches written because their first row had waited for the linger.
    pub batches_lingered: u64,
    /// Batches written because nothing more was to come.
    pub batches_last: u64,
    /// Time spent writing batches.
    pub commit_time: Duration,
    /// The most rows that Storage had and that were not yet committed.
    pub unsaved_peak: u64,
    /// Fetchers that died and were replaced.
    pub fetchers_replaced: u64,
}

impl Progress {
    /// Ids with a committed outcome.
    pub fn settled(&self) -> u64 {
        self.stored + self.absent + self.failed
    }
}
