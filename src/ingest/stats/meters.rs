//! The meters of a pipeline: its metrics, registered with the recorder that the host has installed.

use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use metrics::{Counter, Gauge, Histogram};

use crate::ingest::stats::{
    event::{BatchTrigger, Event, REQUEST_ENDS},
    metrics::{
        ATTEMPT_SECONDS, ATTEMPTS, BATCH_ROWS, BATCHES, BODY_BYTES, COMMIT_SECONDS, DECODE_SECONDS,
        IN_FLIGHT, IN_FLIGHT_LIMIT, METRICS, Metric, QUEUE_DEPTH, RATE_LIMIT, REPLACED, REQUESTS,
        RETRIES, RUNS, RUNS_UNDER_WAY, SETTLED, WAIT_SECONDS, WORKERS,
    },
};

/// The metrics of one pipeline. They are registered once, so that no name is looked up while requests are made.
#[derive(Debug)]
pub(crate) struct Meters {
    attempts: Counter,
    retries: Counter,
    /// Indexed by `RequestEnd::index`.
    pub(super) requests: [Counter; REQUEST_ENDS.len()],
    pub(super) attempt_seconds: Histogram,
    body_bytes: Counter,
    pub(super) in_flight: Gauge,
    in_flight_limit: Gauge,
    /// The in-flight limit of the throttle. `usize::MAX` if there is none.
    throttle_limit: AtomicUsize,
    /// The number of fetchers.
    fetchers: AtomicUsize,
    workers: Gauge,
    rate_limit: Gauge,
    pub(super) wait_seconds: Histogram,
    ids_at_fetchers: Gauge,
    pub(super) rows_waiting: Gauge,
    /// Indexed by the trigger.
    pub(super) batches: [Counter; BatchTrigger::COUNT],
    pub(super) batch_rows: Histogram,
    pub(super) decode_seconds: Histogram,
    pub(super) commit_seconds: Histogram,
    /// Stored, absent, failed, not attempted.
    settled: [Counter; 4],
    runs_under_way: Gauge,
    pub(super) runs: Counter,
    fetchers_replaced: Counter,
}

impl Meters {
    /// Registers the metrics with the recorder that is installed now; `pipeline` is their label.
    pub(crate) fn new(pipeline: &str) -> Self {
        METRICS.iter().for_each(Metric::describe);
        let [ids_at_fetchers, rows_waiting] = QUEUE_DEPTH.gauges(pipeline);
        Self {
            attempts: ATTEMPTS.counter(pipeline),
            retries: RETRIES.counter(pipeline),
            requests: REQUESTS.counters(pipeline),
            attempt_seconds: ATTEMPT_SECONDS.histogram(pipeline),
            body_bytes: BODY_BYTES.counter(pipeline),
            in_flight: IN_FLIGHT.gauge(pipeline),
            in_flight_limit: IN_FLIGHT_LIMIT.gauge(pipeline),
            throttle_limit: AtomicUsize::new(usize::MAX),
            fetchers: AtomicUsize::new(usize::MAX),
            workers: WORKERS.gauge(pipeline),
            rate_limit: RATE_LIMIT.gauge(pipeline),
            wait_seconds: WAIT_SECONDS.histogram(pipeline),
            ids_at_fetchers,
            rows_waiting,
            batches: BATCHES.counters(pipeline),
            batch_rows: BATCH_ROWS.histogram(pipeline),
            decode_seconds: DECODE_SECONDS.histogram(pipeline),
            commit_seconds: COMMIT_SECONDS.histogram(pipeline),
            settled: SETTLED.counters(pipeline),
            runs_under_way: RUNS_UNDER_WAY.gauge(pipeline),
            runs: RUNS.counter(pipeline),
            fetchers_replaced: REPLACED.counter(pipeline),
        }
    }

    /// The counter of an event, if it is exported.
    pub(super) fn counter(&self, event: Event) -> Option<&Counter> {
        match event {
            Event::Attempt => Some(&self.attempts),
            Event::Retry => Some(&self.retries),
            Event::BodyBytes => Some(&self.body_bytes),
            Event::Stored => Some(&self.settled[0]),
            Event::Absent => Some(&self.settled[1]),
            Event::Failed => Some(&self.settled[2]),
            Event::NotAttempted => Some(&self.settled[3]),
            Event::FetcherReplaced => Some(&self.fetchers_replaced),
            Event::Requested
            | Event::NotInList
            | Event::Record
            | Event::PushedBack
            | Event::ConnectionOpened
            | Event::DecodeMicros
            | Event::CommitMicros => None,
        }
    }

    /// The throttle allows this many requests in flight.
    pub(super) fn set_throttle_limit(&self, limit: usize) {
        self.throttle_limit.store(limit, Relaxed);
        self.show_in_flight_limit();
    }

    pub(crate) fn set_workers(&self, workers: usize) {
        self.workers.set(workers as f64);
        self.fetchers.store(workers, Relaxed);
        self.show_in_flight_limit();
    }

    /// The lower one of two limits holds.
    fn show_in_flight_limit(&self) {
        let fetchers = self.fetchers.load(Relaxed);
        let limit = self.throttle_limit.load(Relaxed).min(fetchers);
        self.in_flight_limit.set(limit as f64);
    }

    pub(crate) fn set_rate_limit(&self, rate: u32) {
        self.rate_limit.set(f64::from(rate));
    }

    pub(crate) fn set_ids_at_fetchers(&self, ids: usize) {
        self.ids_at_fetchers.set(ids as f64);
    }

    pub(crate) fn set_runs_under_way(&self, runs: usize) {
        self.runs_under_way.set(runs as f64);
    }
}

impl Drop for Meters {
    /// A pipeline that was stopped before its runs ended holds no ids and no rows any more.
    fn drop(&mut self) {
        for gauge in [
            &self.ids_at_fetchers,
            &self.rows_waiting,
            &self.runs_under_way,
            &self.in_flight_limit,
            &self.workers,
            &self.rate_limit,
        ] {
            gauge.set(0.0);
        }
    }
}

#[cfg(test)]
mod tests {
    use metrics_util::debugging::{DebugValue, DebuggingRecorder, Snapshotter};

    use super::*;
    use crate::ingest::{outcome::failure::FailureKind, stats::event::RequestEnd};

    fn in_flight_limit(snapshotter: &Snapshotter) -> f64 {
        let metrics = snapshotter.snapshot().into_vec();
        let gauge = metrics
            .into_iter()
            .find_map(|(key, _, _, value)| match value {
                DebugValue::Gauge(value) if key.key().name() == IN_FLIGHT_LIMIT.name => {
                    Some(value.0)
                }
                _ => None,
            });
        gauge.expect("the gauge")
    }

    #[test]
    fn the_in_flight_limit_is_the_lower_one_of_the_workers_and_the_throttles() {
        let recorder = DebuggingRecorder::new();
        let snapshotter = recorder.snapshotter();
        let meters = metrics::with_local_recorder(&recorder, || Meters::new("test"));
        meters.set_workers(16);
        assert_eq!(in_flight_limit(&snapshotter), 16.0);
        meters.set_throttle_limit(4);
        meters.set_workers(8);
        assert_eq!(in_flight_limit(&snapshotter), 4.0);
        meters.set_throttle_limit(32);
        assert_eq!(in_flight_limit(&snapshotter), 8.0);
    }

    #[test]
    fn label_values_are_in_the_order_of_the_counters() {
        let values = |metric: Metric| metric.label.map_or(&[][..], |(_, values)| values);
        assert_eq!(values(SETTLED).len(), 4);
        assert_eq!(values(QUEUE_DEPTH).len(), 2);
        for (end, name) in [
            (RequestEnd::Ok, "ok"),
            (RequestEnd::Failed(FailureKind::Timeout), "timeout"),
            (RequestEnd::Failed(FailureKind::Connect), "connect"),
            (RequestEnd::Failed(FailureKind::Reset), "reset"),
            (RequestEnd::Failed(FailureKind::Status), "status"),
            (RequestEnd::Failed(FailureKind::Body), "body"),
            (RequestEnd::Dropped, "dropped"),
        ] {
            assert_eq!(values(REQUESTS)[end.index()], name);
        }
        for (trigger, name) in [
            (BatchTrigger::Rows, "rows"),
            (BatchTrigger::Bytes, "bytes"),
            (BatchTrigger::Linger, "linger"),
            (BatchTrigger::End, "end"),
        ] {
            assert_eq!(values(BATCHES)[trigger as usize], name);
        }
    }
}
