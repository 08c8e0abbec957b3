//! The recorder of a run: counts each event with one call, for the run's report and for the exporter of metrics.

use std::{
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
    limits::signal::Signal,
    outcome::{failure::FailureKind, progress::Progress},
    stats::{
        event::{BatchTrigger, Event, RequestEnd},
        last_minute::LastMinuteCounter,
        latency::LatencyRecorder,
        meters::Meters,
    },
};

/// The counters of one run. Its actors write them, and any thread may read them.
#[derive(Debug, Default)]
pub(crate) struct Recorder {
    /// One counter per event, indexed by the event.
    counts: [AtomicU64; Event::COUNT],
    /// Failed attempts, indexed by [`FailureKind::index`].
    attempts_failed: [AtomicU64; FailureKind::COUNT],
    /// Written batches, indexed by their trigger.
    batches: [AtomicU64; BatchTrigger::COUNT],
    /// How long attempts took.
    latency: LatencyRecorder,
    /// What was settled in the last minute.
    last_minute: LastMinuteCounter,
    /// Requests in flight.
    in_flight: PeakGauge,
    /// Ids that are being tried again.
    being_retried: PeakGauge,
    /// The most uncommitted rows that Storage held at once.
    unsaved_peak: AtomicU64,
    /// The metrics of the run's pipeline. Empty until the coordinator has received the run.
    meters: OnceLock<Arc<Meters>>,
}

impl Recorder {
    /// From now on, events count for the pipeline's metrics, too.
    pub(crate) fn attach(&self, meters: Arc<Meters>) {
        // A run belongs to one pipeline, so this is called once.
        let _ = self.meters.set(meters);
    }

    fn meters(&self) -> Option<&Meters> {
        self.meters.get().map(Arc::as_ref)
    }

    /// Adds `count` to the counter of an event.
    pub(crate) fn record(&self, event: Event, count: u64) {
        // Pairs with the loads in `progress`: a thread that sees an id as settled also sees it as requested.
        self.counts[event as usize].fetch_add(count, Release);
        if let Some(counter) = self.meters().and_then(|meters| meters.counter(event)) {
            counter.increment(count);
        }
    }

    /// A batch was committed, with this number of ids of each outcome, and of records.
    pub(crate) fn record_settled(&self, stored: u64, absent: u64, failed: u64, records: u64) {
        self.record(Event::Stored, stored);
        self.record(Event::Record, records);
        self.record(Event::Absent, absent);
        self.record(Event::Failed, failed);
        self.last_minute.record(stored + absent + failed, records);
    }

    /// The counter of an event.
    pub(crate) fn count(&self, event: Event) -> u64 {
        self.counts[event as usize].load(Acquire)
    }

    /// An attempt begins. `number` counts the attempts of its id from 1.
    pub(crate) fn record_attempt(&self, number: u32) {
        self.record(Event::Attempt, 1);
        if number > 1 {
            self.record(Event::Retry, 1);
        }
    }

    /// A request was sent again because its kept connection had been closed. That does not count against its id.
    pub(crate) fn record_resend(&self) {
        self.record(Event::Attempt, 1);
        self.record(Event::Retry, 1);
    }

    /// An attempt ended after `took`, which is without waits of our own.
    pub(crate) fn record_attempt_end(&self, end: RequestEnd, took: Duration) {
        self.latency.record(took);
        if let Some(meters) = self.meters() {
            meters.requests[end.index()].increment(1);
            meters.attempt_seconds.record(took);
        }
    }

    /// An attempt failed with this kind and this signal.
    pub(crate) fn record_failed_attempt(&self, kind: FailureKind, signal: Signal) {
        self.attempts_failed[kind.index()].fetch_add(1, Relaxed);
        if let Signal::TooManyRequests { .. } = signal {
            self.record(Event::PushedBack, 1);
        }
    }

    /// A request waited for its permit.
    pub(crate) fn record_wait(&self, time: Duration) {
        if let Some(meters) = self.meters() {
            meters.wait_seconds.record(time);
        }
    }

    /// A batch was decoded.
    pub(crate) fn record_decoding(&self, took: Duration) {
        self.record(Event::DecodeMicros, whole_micros(took));
        if let Some(meters) = self.meters() {
            meters.decode_seconds.record(took);
        }
    }

    /// A batch was written.
    pub(crate) fn record_batch(&self, trigger: BatchTrigger, rows: usize, took: Duration) {
        self.batches[trigger as usize].fetch_add(1, Relaxed);
        self.record(Event::CommitMicros, whole_micros(took));
        if let Some(meters) = self.meters() {
            meters.batches[trigger as usize].increment(1);
            meters.batch_rows.record(rows as f64);
            meters.commit_seconds.record(took);
        }
    }

    /// Storage holds `waiting` rows for its next batches, and `unsaved` uncommitted rows, which include the batch being written.
    pub(crate) fn record_backlog(&self, waiting: usize, unsaved: usize) {
        self.unsaved_peak.fetch_max(unsaved as u64, Relaxed);
        if let Some(meters) = self.meters() {
            meters.rows_waiting.set(waiting as f64);
        }
    }

    /// The throttle now allows this many requests in flight.
    pub(crate) fn record_in_flight_limit(&self, limit: usize) {
        if let Some(meters) = self.meters() {
            meters.set_throttle_limit(limit);
        }
    }

    /// The run ended with a report.
    pub(crate) fn record_run_end(&self) {
        self.last_minute.end();
        if let Some(meters) = self.meters() {
            meters.runs.increment(1);
        }
    }

    /// Counts a request as in flight until the guard is dropped.
    pub(crate) fn hold_in_flight(&self) -> PeakGaugeGuard<'_> {
        self.in_flight.hold(self.meters())
    }

    /// Counts an id as being tried again until the guard is dropped.
    pub(crate) fn hold_being_retried(&self) -> PeakGaugeGuard<'_> {
        self.being_retried.hold(None)
    }

    /// Adds the counters of another run.
    #[cfg(feature = "cli")]
    fn add(&self, other: &Self) {
        let pairs = [
            (&self.counts[..], &other.counts[..]),
            (&self.attempts_failed, &other.attempts_failed),
            (&self.batches, &other.batches),
        ];
        for (sums, counts) in pairs {
            for (sum, count) in sums.iter().zip(counts) {
                sum.fetch_add(count.load(Acquire), Relaxed);
            }
        }
        self.latency.add(&other.latency);
    }

    /// The counters of several runs together. Each peak is the highest of one run.
    #[cfg(feature = "cli")]
    pub(crate) fn progress_of_all<'a>(recorders: impl Iterator<Item = &'a Self>) -> Progress {
        let sum = Self::default();
        let mut all = Progress::default();
        for recorder in recorders {
            sum.add(recorder);
            let one = recorder.progress();
            all.in_flight += one.in_flight;
            all.being_retried += one.being_retried;
            all.in_flight_peak = all.in_flight_peak.max(one.in_flight_peak);
            all.unsaved_peak = all.unsaved_peak.max(one.unsaved_peak);
            all.last_minute.add(one.last_minute);
        }
        Progress {
            in_flight: all.in_flight,
            being_retried: all.being_retried,
            in_flight_peak: all.in_flight_peak,
            unsaved_peak: all.unsaved_peak,
            last_minute: all.last_minute,
            ..sum.progress()
        }
    }

    /// All counters at this moment.
    pub(crate) fn progress(&self) -> Progress {
        let batches = |trigger: BatchTrigger| self.batches[trigger as usize].load(Relaxed);
        // Ids are counted first as requested, then as settled. These counters are read in the opposite order, so that never more
        // ids seem settled than requested.
        let settled = [
            Event::Stored,
            Event::Absent,
            Event::Failed,
            Event::NotAttempted,
        ];
        let [stored, absent, failed, not_attempted] = settled.map(|event| self.count(event));
        Progress {
            stored,
            records: self.count(Event::Record),
            absent,
            failed,
            not_attempted,
            requested: (self.count(Event::Requested)).saturating_sub(self.count(Event::NotInList)),
            retries: self.count(Event::Retry),
            attempts: self.count(Event::Attempt),
            attempts_failed: self
                .attempts_failed
                .each_ref()
                .map(|count| count.load(Relaxed)),
            pushed_back: self.count(Event::PushedBack),
            latency: self.latency.summary(),
            last_minute: self.last_minute.summary(),
            connections: self.count(Event::ConnectionOpened),
            bytes: self.count(Event::BodyBytes),
            in_flight: self.in_flight.now.load(Relaxed),
            in_flight_peak: self.in_flight.peak.load(Relaxed),
            being_retried: self.being_retried.now.load(Relaxed),
            batches_full: batches(BatchTrigger::Rows),
            batches_heavy: batches(BatchTrigger::Bytes),
            batches_lingered: batches(BatchTrigger::Linger),
            batches_last: batches(BatchTrigger::End),
            decode_time: Duration::from_micros(self.count(Event::DecodeMicros)),
            commit_time: Duration::from_micros(self.count(Event::CommitMicros)),
            unsaved_peak: self.unsaved_peak.load(Relaxed),
            fetchers_replaced: self.count(Event::FetcherReplaced),
        }
    }
}

fn whole_micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}

/// A number that goes up and down and remembers its peak.
#[derive(Debug, Default)]
struct PeakGauge {
    now: AtomicU64,
    peak: AtomicU64,
}

impl PeakGauge {
    /// Raises the number by one until the guard is dropped. With `meters`, also raises the metric of requests in flight.
    fn hold<'a>(&'a self, meters: Option<&'a Meters>) -> PeakGaugeGuard<'a> {
        let now = self.now.fetch_add(1, Relaxed) + 1;
        self.peak.fetch_max(now, Relaxed);
        if let Some(meters) = meters {
            meters.in_flight.increment(1.0);
        }
        PeakGaugeGuard {
            gauge: self,
            meters,
        }
    }
}

/// Lowers the gauge by one when it is dropped.
#[derive(Debug)]
pub(crate) struct PeakGaugeGuard<'a> {
    gauge: &'a PeakGauge,
    meters: Option<&'a Meters>,
}

impl Drop for PeakGaugeGuard<'_> {
    fn drop(&mut self) {
        self.gauge.now.fetch_sub(1, Relaxed);
        if let Some(meters) = self.meters {
            meters.in_flight.decrement(1.0);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::thread;

    use super::*;

    #[cfg(feature = "cli")]
    #[test]
    fn the_counters_of_several_runs_add_up() {
        let runs = [Recorder::default(), Recorder::default()];
        for run in &runs {
            run.record(Event::Requested, 3);
            run.record_settled(1, 1, 1, 1);
            run.record_attempt(1);
            run.record_attempt(2);
            run.record_failed_attempt(FailureKind::Timeout, Signal::Unreachable);
        }
        let all = Recorder::progress_of_all(runs.iter());
        assert_eq!((all.requested, all.settled()), (6, 6));
        assert_eq!((all.attempts, all.retries), (4, 2));
        assert_eq!(all.attempts_failed(FailureKind::Timeout), 2);
        assert_eq!(all.last_minute.settled, 6);
    }

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
    fn a_gauge_remembers_its_peak_and_falls_again() {
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
        recorder.record_resend();
        let progress = recorder.progress();
        assert_eq!((progress.attempts, progress.retries), (3, 2));
    }
}
