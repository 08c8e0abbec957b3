//! Counts what happens to a run. Each event is recorded by one call, for the run's report and for the exporter of metrics.

use std::{
    array, fmt,
    sync::{
        Arc, OnceLock,
        atomic::{
            AtomicU64,
            Ordering::{Acquire, Relaxed, Release},
        },
    },
    time::Duration,
};

use crate::ingest::{
    limits::signal::{Refusal, Signal},
    outcome::{failure::FailureKind, progress::Progress},
    stats::{
        event::{BatchTrigger, Event, RequestEnd},
        latency::LatencyRecorder,
        meters::Meters,
    },
};

/// Records one run. Its actors write, any thread may read.
#[derive(Debug)]
pub(crate) struct Recorder {
    counts: [AtomicU64; Event::COUNT],
    attempts_failed: [AtomicU64; FailureKind::COUNT],
    batches: [AtomicU64; BatchTrigger::COUNT],
    latency: LatencyRecorder,
    in_flight: Level,
    being_retried: Level,
    unsaved_peak: AtomicU64,
    /// The metrics of the pipeline that took the run; empty while the run waits in the queue's mailbox.
    meters: PipelineMeters,
}

impl Default for Recorder {
    fn default() -> Self {
        Self {
            counts: array::from_fn(|_| AtomicU64::default()),
            attempts_failed: array::from_fn(|_| AtomicU64::default()),
            batches: array::from_fn(|_| AtomicU64::default()),
            latency: LatencyRecorder::default(),
            in_flight: Level::default(),
            being_retried: Level::default(),
            unsaved_peak: AtomicU64::default(),
            meters: PipelineMeters::default(),
        }
    }
}

impl Recorder {
    /// From now on the pipeline's metrics count what this counts.
    pub(crate) fn attach(&self, meters: Arc<Meters>) {
        // A run belongs to one pipeline, so this is called once.
        let _ = self.meters.0.set(meters);
    }

    fn meters(&self) -> Option<&Meters> {
        self.meters.0.get().map(Arc::as_ref)
    }

    pub(crate) fn record(&self, event: Event, count: u64) {
        // Pairs with the loads of `progress`: whoever sees an id settled also sees it requested.
        self.counts[event as usize].fetch_add(count, Release);
        if let Some(counter) = self.meters().and_then(|meters| meters.counter(event)) {
            counter.increment(count);
        }
    }

    pub(crate) fn count(&self, event: Event) -> u64 {
        self.counts[event as usize].load(Acquire)
    }

    /// An attempt begins; `number` is its number among those of its id, from 1.
    pub(crate) fn record_attempt(&self, number: u32) {
        self.record(Event::Attempt, 1);
        if number > 1 {
            self.record(Event::Retry, 1);
        }
    }

    /// Requests that were sent again because a kept connection had been closed. They do not count against their id.
    pub(crate) fn record_resends(&self, count: u32) {
        if count > 0 {
            self.record(Event::Attempt, count.into());
            self.record(Event::Retry, count.into());
        }
    }

    /// An attempt ended after `took`, which is without waits of our own.
    pub(crate) fn record_attempt_end(&self, end: RequestEnd, took: Duration) {
        self.latency.record(took);
        if let Some(meters) = self.meters() {
            meters.record_request(end, took);
        }
    }

    /// An attempt failed, which said `signal` about the API.
    pub(crate) fn record_failed_attempt(&self, kind: FailureKind, signal: Signal) {
        self.attempts_failed[kind.index()].fetch_add(1, Relaxed);
        if let Signal::Refused {
            refusal: Refusal::TooManyRequests,
            ..
        } = signal
        {
            self.record(Event::PushedBack, 1);
        }
    }

    /// A request waited for its permit.
    pub(crate) fn record_wait(&self, time: Duration) {
        if let Some(meters) = self.meters() {
            meters.record_wait(time);
        }
    }

    pub(crate) fn record_batch(&self, trigger: BatchTrigger, rows: usize, took: Duration) {
        self.batches[trigger as usize].fetch_add(1, Relaxed);
        let micros = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        self.record(Event::CommitMicros, micros);
        if let Some(meters) = self.meters() {
            meters.record_batch(trigger, rows, took);
        }
    }

    /// Storage holds `waiting` rows for its next batch, and `unsaved` rows that are not committed.
    pub(crate) fn record_backlog(&self, waiting: usize, unsaved: usize) {
        self.unsaved_peak.fetch_max(unsaved as u64, Relaxed);
        if let Some(meters) = self.meters() {
            meters.set_rows_waiting(waiting);
        }
    }

    pub(crate) fn record_in_flight_limit(&self, limit: usize) {
        if let Some(meters) = self.meters() {
            meters.set_in_flight_limit(limit);
        }
    }

    /// The run ended with a report.
    pub(crate) fn record_run_end(&self) {
        if let Some(meters) = self.meters() {
            meters.record_run_end();
        }
    }

    /// Counts a request as in flight until the guard is dropped.
    pub(crate) fn hold_in_flight(&self) -> LevelGuard<'_> {
        self.in_flight.hold(self.meters())
    }

    /// Counts an id as being tried again until the guard is dropped.
    pub(crate) fn hold_being_retried(&self) -> LevelGuard<'_> {
        self.being_retried.hold(None)
    }

    /// All counters at this moment.
    pub(crate) fn progress(&self) -> Progress {
        let batches = |trigger: BatchTrigger| self.batches[trigger as usize].load(Relaxed);
        // Ids are counted as requested before they are settled. Read in the opposite order, no more of them can seem settled
        // than requested.
        let settled = [
            Event::Stored,
            Event::Absent,
            Event::Failed,
            Event::NotAttempted,
        ];
        let [stored, absent, failed, not_attempted] = settled.map(|event| self.count(event));
        Progress {
            stored,
            absent,
            failed,
            not_attempted,
            requested: self.count(Event::Requested),
            retries: self.count(Event::Retry),
            attempts: self.count(Event::Attempt),
            attempts_failed: self
                .attempts_failed
                .each_ref()
                .map(|count| count.load(Relaxed)),
            pushed_back: self.count(Event::PushedBack),
            latency: self.latency.summary(),
            connections: self.count(Event::ConnectionOpened),
            bytes: self.count(Event::BodyBytes),
            in_flight: self.in_flight.now.load(Relaxed),
            in_flight_peak: self.in_flight.peak.load(Relaxed),
            being_retried: self.being_retried.now.load(Relaxed),
            batches_full: batches(BatchTrigger::Rows),
            batches_heavy: batches(BatchTrigger::Bytes),
            batches_lingered: batches(BatchTrigger::Linger),
            batches_last: batches(BatchTrigger::End),
            commit_time: Duration::from_micros(self.count(Event::CommitMicros)),
            unsaved_peak: self.unsaved_peak.load(Relaxed),
            fetchers_replaced: self.count(Event::FetcherReplaced),
        }
    }
}

/// A number that goes up and down and remembers its peak.
#[derive(Debug, Default)]
struct Level {
    now: AtomicU64,
    peak: AtomicU64,
}

impl Level {
    fn hold<'a>(&'a self, meters: Option<&'a Meters>) -> LevelGuard<'a> {
        let now = self.now.fetch_add(1, Relaxed) + 1;
        self.peak.fetch_max(now, Relaxed);
        if let Some(meters) = meters {
            meters.add_in_flight(1.0);
        }
        LevelGuard {
            level: self,
            meters,
        }
    }
}

/// Holds a level up by one.
#[derive(Debug)]
pub(crate) struct LevelGuard<'a> {
    level: &'a Level,
    meters: Option<&'a Meters>,
}

impl Drop for LevelGuard<'_> {
    fn drop(&mut self) {
        self.level.now.fetch_sub(1, Relaxed);
        if let Some(meters) = self.meters {
            meters.add_in_flight(-1.0);
        }
    }
}

#[derive(Default)]
struct PipelineMeters(OnceLock<Arc<Meters>>);

impl fmt::Debug for PipelineMeters {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PipelineMeters").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::thread;

    use super::*;

    #[test]
    fn no_thread_ever_sees_more_ids_settled_than_requested() {
        let recorder = Recorder::default();
        thread::scope(|scope| {
            scope.spawn(|| {
                for _ in 0..200_000 {
                    recorder.record(Event::Requested, 1);
                    recorder.record(Event::Stored, 1);
                }
            });
            loop {
                let progress = recorder.progress();
                assert!(progress.settled() <= progress.requested);
                if progress.stored == 200_000 {
                    break;
                }
            }
        });
    }

    #[test]
    fn a_level_remembers_its_peak_and_comes_down_again() {
        let recorder = Recorder::default();
        let held = (recorder.hold_in_flight(), recorder.hold_in_flight());
        drop(held);
        let progress = recorder.progress();
        assert_eq!((progress.in_flight, progress.in_flight_peak), (0, 2));
    }

    #[test]
    fn a_resend_counts_as_an_attempt_and_a_retry() {
        let recorder = Recorder::default();
        recorder.record_attempt(1);
        recorder.record_attempt(2);
        recorder.record_resends(3);
        let progress = recorder.progress();
        assert_eq!((progress.attempts, progress.retries), (5, 4));
    }
}
