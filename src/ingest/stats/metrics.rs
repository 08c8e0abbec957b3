//! The metrics that a pipeline gives to the [`metrics`](https://docs.rs/metrics) facade.
//!
//! The host picks the exporter. Without one, a metric costs a look at a pointer.
//!
//! | name | kind | labels | meaning |
//! |---|---|---|---|
//! | `ingest_attempts_total` | counter | | HTTP exchanges begun for ids |
//! | `ingest_retries_total` | counter | | HTTP exchanges that were not the first of their id |
//! | `ingest_requests_total` | counter | `outcome` = ok, timeout, connect, reset, status, body, dropped | HTTP exchanges ended, by how; a drain that ran out of time dropped the last kind |
//! | `ingest_attempt_seconds` | histogram | | How long each attempt took, without waits of our own |
//! | `ingest_body_bytes_total` | counter | | Bytes of bodies received whole |
//! | `ingest_in_flight` | gauge | | Requests in flight |
//! | `ingest_in_flight_limit` | gauge | | The most requests that may be in flight: the number of fetchers, or fewer with `adaptive` |
//! | `ingest_wait_seconds` | histogram | | Waits for a permit of the throttle, if there was a wait |
//! | `ingest_queue_depth` | gauge | `queue` = fetchers, storage, runs | Ids that fetchers hold, rows that wait for a batch, runs that wait for the one under way |
//! | `ingest_batches_total` | counter | `trigger` = rows, bytes, linger, end | Batches written, by why they were written then |
//! | `ingest_batch_rows` | histogram | | Rows of each batch |
//! | `ingest_commit_seconds` | histogram | | How long each batch took, decoding included |
//! | `ingest_settled_total` | counter | `outcome` = stored, absent, failed, not_attempted | Ids by outcome |
//! | `ingest_runs_total` | counter | | Runs that ended with a report |
//! | `ingest_fetchers_replaced_total` | counter | | Fetchers that died and were replaced |
//!
//! Each has the label `pipeline` too, which is [`Builder::name`](crate::Builder::name). If two pipelines have the same name, their
//! counters are added up and a gauge shows the last value of either. A pipeline uses the recorder that is installed when it starts.
//! Documents that a [`Client`](crate::Client) reads for itself, such as lists of ids, are not counted.

use std::{array, time::Duration};

use metrics::{
    Counter, Gauge, Histogram, counter, describe_counter, describe_gauge, describe_histogram,
    gauge, histogram,
};

use crate::ingest::{
    outcome::failure::FailureKind,
    stats::recorder::{BatchTrigger, Event},
};

/// The kind of a metric.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A number that only rises.
    Counter,
    /// A number that rises and falls.
    Gauge,
    /// Many values, of which an exporter makes buckets or quantiles.
    Histogram,
}

/// One line of the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Metric {
    /// Its name.
    pub name: &'static str,
    /// Its kind.
    pub kind: Kind,
    /// Its label beside `pipeline` and all values of that label, if it has one.
    pub label: Option<(&'static str, &'static [&'static str])>,
    /// What it counts or measures.
    pub meaning: &'static str,
}

const fn metric(kind: Kind, name: &'static str, meaning: &'static str) -> Metric {
    let label = None;
    Metric {
        name,
        kind,
        label,
        meaning,
    }
}

const fn labelled(
    kind: Kind,
    name: &'static str,
    label: (&'static str, &'static [&'static str]),
    meaning: &'static str,
) -> Metric {
    let label = Some(label);
    Metric {
        name,
        kind,
        label,
        meaning,
    }
}

const ATTEMPTS: Metric = metric(
    Kind::Counter,
    "ingest_attempts_total",
    "HTTP exchanges begun for ids",
);
const RETRIES: Metric = metric(
    Kind::Counter,
    "ingest_retries_total",
    "HTTP exchanges that were not the first of their id",
);
/// The values of the label `outcome` of requests, in the order of [`RequestEnd::index`].
const REQUEST_ENDS: [&str; 7] = [
    "ok", "timeout", "connect", "reset", "status", "body", "dropped",
];

const REQUESTS: Metric = labelled(
    Kind::Counter,
    "ingest_requests_total",
    ("outcome", &REQUEST_ENDS),
    "HTTP exchanges ended, by how; a drain that ran out of time dropped the last kind",
);
const ATTEMPT_SECONDS: Metric = metric(
    Kind::Histogram,
    "ingest_attempt_seconds",
    "How long each attempt took, without waits of our own",
);
const BODY_BYTES: Metric = metric(
    Kind::Counter,
    "ingest_body_bytes_total",
    "Bytes of bodies received whole",
);
const IN_FLIGHT: Metric = metric(Kind::Gauge, "ingest_in_flight", "Requests in flight");
const IN_FLIGHT_LIMIT: Metric = metric(
    Kind::Gauge,
    "ingest_in_flight_limit",
    "The most requests that may be in flight: the number of fetchers, or fewer with `adaptive`",
);
const WAIT_SECONDS: Metric = metric(
    Kind::Histogram,
    "ingest_wait_seconds",
    "Waits for a permit of the throttle, if there was a wait",
);
const QUEUE_DEPTH: Metric = labelled(
    Kind::Gauge,
    "ingest_queue_depth",
    ("queue", &["fetchers", "storage", "runs"]),
    "Ids that fetchers hold, rows that wait for a batch, runs that wait for the one under way",
);
const BATCHES: Metric = labelled(
    Kind::Counter,
    "ingest_batches_total",
    ("trigger", &["rows", "bytes", "linger", "end"]),
    "Batches written, by why they were written then",
);
const BATCH_ROWS: Metric = metric(Kind::Histogram, "ingest_batch_rows", "Rows of each batch");
const COMMIT_SECONDS: Metric = metric(
    Kind::Histogram,
    "ingest_commit_seconds",
    "How long each batch took, decoding included",
);
const SETTLED: Metric = labelled(
    Kind::Counter,
    "ingest_settled_total",
    ("outcome", &["stored", "absent", "failed", "not_attempted"]),
    "Ids by outcome",
);
const RUNS: Metric = metric(
    Kind::Counter,
    "ingest_runs_total",
    "Runs that ended with a report",
);
const REPLACED: Metric = metric(
    Kind::Counter,
    "ingest_fetchers_replaced_total",
    "Fetchers that died and were replaced",
);

/// Every metric, in the order of the table.
pub const METRICS: &[Metric] = &[
    ATTEMPTS,
    RETRIES,
    REQUESTS,
    ATTEMPT_SECONDS,
    BODY_BYTES,
    IN_FLIGHT,
    IN_FLIGHT_LIMIT,
    WAIT_SECONDS,
    QUEUE_DEPTH,
    BATCHES,
    BATCH_ROWS,
    COMMIT_SECONDS,
    SETTLED,
    RUNS,
    REPLACED,
];

/// How an HTTP exchange ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RequestEnd {
    Ok,
    Failed(FailureKind),
    /// The drain of a cancelled run cut it off.
    Dropped,
}

impl RequestEnd {
    /// Position among the values of the label `outcome`.
    fn index(self) -> usize {
        match self {
            Self::Ok => 0,
            // The kinds that an attempt can fail with are the first ones.
            Self::Failed(kind) => 1 + kind.index().min(FailureKind::Body.index()),
            Self::Dropped => REQUEST_ENDS.len() - 1,
        }
    }
}

/// One pipeline's metrics. They are registered once, so that no name is looked up while requests are made.
#[derive(Debug)]
pub(crate) struct Meters {
    attempts: Counter,
    retries: Counter,
    requests: [Counter; REQUEST_ENDS.len()],
    attempt_seconds: Histogram,
    body_bytes: Counter,
    in_flight: Gauge,
    in_flight_limit: Gauge,
    wait_seconds: Histogram,
    ids_at_fetchers: Gauge,
    rows_waiting: Gauge,
    runs_waiting: Gauge,
    batches: [Counter; BatchTrigger::COUNT],
    batch_rows: Histogram,
    commit_seconds: Histogram,
    settled: [Counter; 4],
    runs: Counter,
    fetchers_replaced: Counter,
}

impl Meters {
    /// Registers the metrics with the recorder that is installed now; `pipeline` is their label.
    pub(crate) fn new(pipeline: &str) -> Self {
        METRICS.iter().for_each(Metric::describe);
        let [ids_at_fetchers, rows_waiting, runs_waiting] = QUEUE_DEPTH.gauges(pipeline);
        Self {
            attempts: ATTEMPTS.counter(pipeline),
            retries: RETRIES.counter(pipeline),
            requests: REQUESTS.counters(pipeline),
            attempt_seconds: ATTEMPT_SECONDS.histogram(pipeline),
            body_bytes: BODY_BYTES.counter(pipeline),
            in_flight: IN_FLIGHT.gauge(pipeline),
            in_flight_limit: IN_FLIGHT_LIMIT.gauge(pipeline),
            wait_seconds: WAIT_SECONDS.histogram(pipeline),
            ids_at_fetchers,
            rows_waiting,
            runs_waiting,
            batches: BATCHES.counters(pipeline),
            batch_rows: BATCH_ROWS.histogram(pipeline),
            commit_seconds: COMMIT_SECONDS.histogram(pipeline),
            settled: SETTLED.counters(pipeline),
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
            | Event::PushedBack
            | Event::ConnectionOpened
            | Event::CommitMicros => None,
        }
    }

    pub(super) fn record_request(&self, end: RequestEnd, took: Duration) {
        self.requests[end.index()].increment(1);
        self.attempt_seconds.record(took);
    }

    pub(super) fn record_wait(&self, time: Duration) {
        self.wait_seconds.record(time);
    }

    pub(super) fn record_batch(&self, trigger: BatchTrigger, rows: usize, took: Duration) {
        self.batches[trigger as usize].increment(1);
        self.batch_rows.record(rows as f64);
        self.commit_seconds.record(took);
    }

    pub(super) fn record_run_end(&self) {
        self.runs.increment(1);
    }

    pub(super) fn add_in_flight(&self, difference: f64) {
        self.in_flight.increment(difference);
    }

    pub(super) fn set_rows_waiting(&self, rows: usize) {
        self.rows_waiting.set(rows as f64);
    }

    pub(crate) fn set_in_flight_limit(&self, limit: usize) {
        self.in_flight_limit.set(limit as f64);
    }

    pub(crate) fn set_ids_at_fetchers(&self, ids: usize) {
        self.ids_at_fetchers.set(ids as f64);
    }

    pub(crate) fn set_runs_waiting(&self, runs: usize) {
        self.runs_waiting.set(runs as f64);
    }
}

impl Drop for Meters {
    /// A pipeline that was stopped in the middle of its work holds nothing any more.
    fn drop(&mut self) {
        for gauge in [
            &self.ids_at_fetchers,
            &self.rows_waiting,
            &self.runs_waiting,
            &self.in_flight_limit,
        ] {
            gauge.set(0.0);
        }
    }
}

impl Metric {
    fn describe(&self) {
        match self.kind {
            Kind::Counter => describe_counter!(self.name, self.meaning),
            Kind::Gauge => describe_gauge!(self.name, self.meaning),
            Kind::Histogram => describe_histogram!(self.name, self.meaning),
        }
    }

    fn counter(&self, pipeline: &str) -> Counter {
        counter!(self.name, "pipeline" => pipeline.to_owned())
    }

    fn gauge(&self, pipeline: &str) -> Gauge {
        gauge!(self.name, "pipeline" => pipeline.to_owned())
    }

    fn histogram(&self, pipeline: &str) -> Histogram {
        histogram!(self.name, "pipeline" => pipeline.to_owned())
    }

    fn counters<const N: usize>(&self, pipeline: &str) -> [Counter; N] {
        self.for_each_value(
            |label, value| counter!(self.name, "pipeline" => pipeline.to_owned(), label => value),
            Counter::noop,
        )
    }

    fn gauges<const N: usize>(&self, pipeline: &str) -> [Gauge; N] {
        self.for_each_value(
            |label, value| gauge!(self.name, "pipeline" => pipeline.to_owned(), label => value),
            Gauge::noop,
        )
    }

    fn for_each_value<T, const N: usize>(
        &self,
        register: impl Fn(&'static str, &'static str) -> T,
        none: impl Fn() -> T,
    ) -> [T; N] {
        let (label, values) = self.label.unwrap_or(("", &[]));
        array::from_fn(|index| match values.get(index) {
            Some(value) => register(label, value),
            None => none(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_documented_table_is_that_of_the_code() {
        let documented: Vec<_> = include_str!("metrics.rs")
            .lines()
            .filter(|line| line.starts_with("//! | `"))
            .collect();
        let declared: Vec<_> = METRICS
            .iter()
            .map(|metric| {
                let kind = format!("{:?}", metric.kind).to_lowercase();
                let label = metric.label.map_or(String::new(), |(label, values)| {
                    format!(" `{label}` = {}", values.join(", "))
                });
                format!(
                    "//! | `{}` | {kind} |{label} | {} |",
                    metric.name, metric.meaning
                )
            })
            .collect();
        assert_eq!(documented, declared);
    }

    #[test]
    fn label_values_stand_in_the_order_that_the_code_counts_by() {
        let values = |metric: Metric| metric.label.map_or(&[][..], |(_, values)| values);
        assert_eq!(values(SETTLED).len(), 4);
        assert_eq!(values(QUEUE_DEPTH).len(), 3);
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
