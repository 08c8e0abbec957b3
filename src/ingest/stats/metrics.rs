//! What a pipeline tells the [`metrics`](https://docs.rs/metrics) facade. The host picks the exporter; without one, none of this
//! costs more than a look.
//!
//! | name | kind | labels | meaning |
//! |---|---|---|---|
//! | `ingest_attempts_total` | counter | | HTTP exchanges begun for ids |
//! | `ingest_retries_total` | counter | | Those of them that were not an id's first |
//! | `ingest_requests_total` | counter | `outcome` = ok, timeout, connect, reset, status, body, dropped | HTTP exchanges ended, by how; dropped are those that a drain cut off |
//! | `ingest_attempt_seconds` | histogram | | How long each took, dropped ones too |
//! | `ingest_body_bytes_total` | counter | | Bytes of bodies received whole |
//! | `ingest_in_flight` | gauge | | Requests in flight |
//! | `ingest_in_flight_limit` | gauge | | The most that may be: the number of fetchers, or fewer if the API bears no more |
//! | `ingest_wait_seconds` | histogram | | Waits for a rate, a cool-down or the retry budget, where there was one |
//! | `ingest_queue_depth` | gauge | `queue` = fetchers, storage, runs | Ids that fetchers hold, rows that wait for a batch, runs that wait for their turn |
//! | `ingest_batches_total` | counter | `trigger` = rows, bytes, linger, end | Batches written, by why then |
//! | `ingest_batch_rows` | histogram | | Rows of each |
//! | `ingest_commit_seconds` | histogram | | How long each took, decoding included |
//! | `ingest_settled_total` | counter | `outcome` = stored, absent, failed, not_attempted | Ids by what they came to; the last is counted when their run ends |
//! | `ingest_runs_total` | counter | | Runs ended with a report |
//! | `ingest_fetchers_replaced_total` | counter | | Fetchers that died, counted when the run ends |
//!
//! Each has the label `pipeline` too, which is [`Builder::name`](crate::Builder::name): of two pipelines with one name, a gauge
//! shows the one that spoke last. A pipeline takes the recorder that is installed when it starts. What a
//! [`Client`](crate::Client) reads besides, such as a list of ids, is not counted.

use std::{array, time::Duration};

use metrics::{
    Counter, Gauge, Histogram, counter, describe_counter, describe_gauge, describe_histogram,
    gauge, histogram,
};

use crate::ingest::{outcome::FailureKind, stats::recorder::Progress, stats::recorder::Trigger};

/// What sort of metric it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Only goes up.
    Counter,
    /// Goes up and down.
    Gauge,
    /// Many values, for an exporter to make buckets or quantiles of.
    Histogram,
}

/// One line of the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Metric {
    /// Its name.
    pub name: &'static str,
    /// Its kind.
    pub kind: Kind,
    /// Its label beside `pipeline`, with all values, if it has one.
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
    "Those of them that were not an id's first",
);
const REQUESTS: Metric = labelled(
    Kind::Counter,
    "ingest_requests_total",
    (
        "outcome",
        &[
            "ok", "timeout", "connect", "reset", "status", "body", "dropped",
        ],
    ),
    "HTTP exchanges ended, by how; dropped are those that a drain cut off",
);
const ATTEMPT_SECONDS: Metric = metric(
    Kind::Histogram,
    "ingest_attempt_seconds",
    "How long each took, dropped ones too",
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
    "The most that may be: the number of fetchers, or fewer if the API bears no more",
);
const WAIT_SECONDS: Metric = metric(
    Kind::Histogram,
    "ingest_wait_seconds",
    "Waits for a rate, a cool-down or the retry budget, where there was one",
);
const QUEUE_DEPTH: Metric = labelled(
    Kind::Gauge,
    "ingest_queue_depth",
    ("queue", &["fetchers", "storage", "runs"]),
    "Ids that fetchers hold, rows that wait for a batch, runs that wait for their turn",
);
const BATCHES: Metric = labelled(
    Kind::Counter,
    "ingest_batches_total",
    ("trigger", &["rows", "bytes", "linger", "end"]),
    "Batches written, by why then",
);
const BATCH_ROWS: Metric = metric(Kind::Histogram, "ingest_batch_rows", "Rows of each");
const COMMIT_SECONDS: Metric = metric(
    Kind::Histogram,
    "ingest_commit_seconds",
    "How long each took, decoding included",
);
const SETTLED: Metric = labelled(
    Kind::Counter,
    "ingest_settled_total",
    ("outcome", &["stored", "absent", "failed", "not_attempted"]),
    "Ids by what they came to; the last is counted when their run ends",
);
const RUNS: Metric = metric(
    Kind::Counter,
    "ingest_runs_total",
    "Runs ended with a report",
);
const REPLACED: Metric = metric(
    Kind::Counter,
    "ingest_fetchers_replaced_total",
    "Fetchers that died, counted when the run ends",
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

/// One pipeline's metrics, registered once: what happens a thousand times a second should not look up names.
pub(crate) struct Meters {
    pub(crate) attempts: Counter,
    pub(crate) retries: Counter,
    requests: [Counter; 7],
    pub(crate) attempt_seconds: Histogram,
    pub(crate) body_bytes: Counter,
    in_flight: Gauge,
    pub(crate) in_flight_limit: Gauge,
    pub(crate) wait_seconds: Histogram,
    pub(crate) at_fetchers: Gauge,
    pub(crate) at_storage: Gauge,
    pub(crate) runs_waiting: Gauge,
    batches: [Counter; 4],
    batch_rows: Histogram,
    commit_seconds: Histogram,
    settled: [Counter; 4],
    runs: Counter,
    replaced: Counter,
}

/// How an exchange ended.
#[derive(Clone, Copy)]
pub(crate) enum Ended {
    Ok,
    Failed(FailureKind),
    Dropped,
}

impl Meters {
    pub(crate) fn new(pipeline: &str) -> Self {
        METRICS.iter().for_each(Metric::describe);
        let [at_fetchers, at_storage, runs_waiting] = QUEUE_DEPTH.gauges(pipeline);
        Self {
            attempts: ATTEMPTS.counter(pipeline),
            retries: RETRIES.counter(pipeline),
            requests: REQUESTS.counters(pipeline),
            attempt_seconds: ATTEMPT_SECONDS.histogram(pipeline),
            body_bytes: BODY_BYTES.counter(pipeline),
            in_flight: IN_FLIGHT.gauge(pipeline),
            in_flight_limit: IN_FLIGHT_LIMIT.gauge(pipeline),
            wait_seconds: WAIT_SECONDS.histogram(pipeline),
            at_fetchers,
            at_storage,
            runs_waiting,
            batches: BATCHES.counters(pipeline),
            batch_rows: BATCH_ROWS.histogram(pipeline),
            commit_seconds: COMMIT_SECONDS.histogram(pipeline),
            settled: SETTLED.counters(pipeline),
            runs: RUNS.counter(pipeline),
            replaced: REPLACED.counter(pipeline),
        }
    }

    /// Counts one until the guard is dropped.
    pub(crate) fn one_in_flight(&self) -> impl Drop + '_ {
        struct Held<'a>(&'a Gauge);
        impl Drop for Held<'_> {
            fn drop(&mut self) {
                self.0.decrement(1.0);
            }
        }
        self.in_flight.increment(1.0);
        Held(&self.in_flight)
    }

    pub(crate) fn request(&self, ended: Ended) {
        let outcome = match ended {
            Ended::Ok => "ok",
            Ended::Failed(kind) => kind.as_str(),
            Ended::Dropped => "dropped",
        };
        let values = REQUESTS.label.map_or(&[][..], |(_, values)| values);
        if let Some(index) = values.iter().position(|value| *value == outcome) {
            self.requests[index].increment(1);
        }
    }

    pub(crate) fn batch(&self, trigger: Trigger, rows: usize, took: Duration) {
        self.batches[trigger as usize].increment(1);
        self.batch_rows.record(rows as f64);
        self.commit_seconds.record(took);
    }

    pub(crate) fn settled(&self, stored: usize, absent: usize, failed: usize) {
        for (counter, more) in self.settled.iter().zip([stored, absent, failed]) {
            counter.increment(more as u64);
        }
    }

    pub(crate) fn run_ended(&self, totals: &Progress) {
        self.settled[3].increment(totals.not_attempted);
        self.replaced.increment(totals.fetchers_replaced);
        self.runs.increment(1);
    }
}

impl Drop for Meters {
    /// What a pipeline held that was stopped in the midst of it, nobody holds any more.
    fn drop(&mut self) {
        for held in [
            &self.at_fetchers,
            &self.at_storage,
            &self.runs_waiting,
            &self.in_flight_limit,
        ] {
            held.set(0.0);
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
    fn labels_stand_in_the_order_that_the_code_counts_by() {
        let values = |metric: Metric| metric.label.map_or(0, |(_, values)| values.len());
        assert_eq!(
            (
                values(REQUESTS),
                values(BATCHES),
                values(SETTLED),
                values(QUEUE_DEPTH)
            ),
            (7, 4, 4, 3)
        );
        for (trigger, name) in [
            (Trigger::Rows, "rows"),
            (Trigger::Bytes, "bytes"),
            (Trigger::Linger, "linger"),
            (Trigger::End, "end"),
        ] {
            let (_, values) = BATCHES.label.expect("a label");
            assert_eq!(values[trigger as usize], name);
        }
    }
}
