//! The metrics that a pipeline gives to the [`metrics`](https://docs.rs/metrics) facade.
//!
//! The host chooses the exporter. Without one, the metrics cost almost nothing.
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
//! | `ingest_workers` | gauge | | How many fetchers may work at once |
//! | `ingest_rate_limit` | gauge | | Requests per second that the setting `rate` allows; 0 is no limit |
//! | `ingest_wait_seconds` | histogram | | Waits for a permit of the throttle, if there was a wait |
//! | `ingest_queue_depth` | gauge | `queue` = fetchers, storage | Ids that fetchers hold, rows that wait for a batch |
//! | `ingest_batches_total` | counter | `trigger` = rows, bytes, linger, end | Batches written, by why they were written then |
//! | `ingest_batch_rows` | histogram | | Rows of each batch |
//! | `ingest_decode_seconds` | histogram | | How long decoding each batch took |
//! | `ingest_commit_seconds` | histogram | | How long writing each batch took |
//! | `ingest_settled_total` | counter | `outcome` = stored, absent, failed, not_attempted | Ids by outcome |
//! | `ingest_runs_under_way` | gauge | | Runs under way |
//! | `ingest_runs_total` | counter | | Runs that ended with a report |
//! | `ingest_fetchers_replaced_total` | counter | | Fetchers that died and were replaced |
//!
//! Each metric also has the label `pipeline`, which is [`Builder::name`](crate::Builder::name). If two pipelines have the same
//! name, their counters are added up, and a gauge shows the last value of either. A pipeline uses the recorder that is installed
//! when it starts. Documents that are fetched with [`Client::get`](crate::Client::get), such as lists of ids, are not counted.

use std::array;

use metrics::{
    Counter, Gauge, Histogram, counter, describe_counter, describe_gauge, describe_histogram,
    gauge, histogram,
};

use crate::ingest::stats::event::REQUEST_ENDS;

/// The kind of a metric.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Kind {
    /// A number that only rises.
    Counter,
    /// A number that rises and falls.
    Gauge,
    /// Many values. An exporter makes buckets or quantiles from them.
    Histogram,
}

/// One line of the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Metric {
    /// Its name.
    pub name: &'static str,
    /// Its kind.
    pub kind: Kind,
    /// Its label besides `pipeline`, with all values of that label, if it has one.
    pub label: Option<(&'static str, &'static [&'static str])>,
    /// What it counts or measures.
    pub meaning: &'static str,
}

/// Declares metrics, and the list of them in the same order. The label besides `pipeline` comes last, if there is one.
macro_rules! declare_metrics {
    (
        $(#[$doc:meta])* $visibility:vis const $list:ident;
        $($metric:ident: $kind:ident $name:literal, $meaning:literal $(, $label:literal = $values:expr)?;)*
    ) => {
        $(
            pub(super) const $metric: $crate::ingest::metrics::Metric = $crate::ingest::metrics::Metric {
                name: $name,
                kind: $crate::ingest::metrics::Kind::$kind,
                // The label, or none.
                label: [$(Some(($label, &$values as &[&str])),)? None][0],
                meaning: $meaning,
            };
        )*

        $(#[$doc])*
        $visibility const $list: &[$crate::ingest::metrics::Metric] = &[$($metric),*];
    };
}
#[cfg(feature = "cli")]
pub(crate) use declare_metrics;

declare_metrics! {
    /// Every metric, in the order of the table.
    pub const METRICS;
    ATTEMPTS: Counter "ingest_attempts_total", "HTTP exchanges begun for ids";
    RETRIES: Counter "ingest_retries_total", "HTTP exchanges that were not the first of their id";
    REQUESTS: Counter "ingest_requests_total", "HTTP exchanges ended, by how; a drain that ran out of time dropped the last kind",
        "outcome" = REQUEST_ENDS;
    ATTEMPT_SECONDS: Histogram "ingest_attempt_seconds", "How long each attempt took, without waits of our own";
    BODY_BYTES: Counter "ingest_body_bytes_total", "Bytes of bodies received whole";
    IN_FLIGHT: Gauge "ingest_in_flight", "Requests in flight";
    IN_FLIGHT_LIMIT: Gauge "ingest_in_flight_limit", "The most requests that may be in flight: the number of fetchers, or fewer with `adaptive`";
    WORKERS: Gauge "ingest_workers", "How many fetchers may work at once";
    RATE_LIMIT: Gauge "ingest_rate_limit", "Requests per second that the setting `rate` allows; 0 is no limit";
    WAIT_SECONDS: Histogram "ingest_wait_seconds", "Waits for a permit of the throttle, if there was a wait";
    QUEUE_DEPTH: Gauge "ingest_queue_depth", "Ids that fetchers hold, rows that wait for a batch",
        "queue" = ["fetchers", "storage"];
    BATCHES: Counter "ingest_batches_total", "Batches written, by why they were written then",
        "trigger" = ["rows", "bytes", "linger", "end"];
    BATCH_ROWS: Histogram "ingest_batch_rows", "Rows of each batch";
    DECODE_SECONDS: Histogram "ingest_decode_seconds", "How long decoding each batch took";
    COMMIT_SECONDS: Histogram "ingest_commit_seconds", "How long writing each batch took";
    SETTLED: Counter "ingest_settled_total", "Ids by outcome",
        "outcome" = ["stored", "absent", "failed", "not_attempted"];
    RUNS_UNDER_WAY: Gauge "ingest_runs_under_way", "Runs under way";
    RUNS: Counter "ingest_runs_total", "Runs that ended with a report";
    REPLACED: Counter "ingest_fetchers_replaced_total", "Fetchers that died and were replaced";
}

impl Metric {
    pub(crate) fn describe(&self) {
        match self.kind {
            Kind::Counter => describe_counter!(self.name, self.meaning),
            Kind::Gauge => describe_gauge!(self.name, self.meaning),
            Kind::Histogram => describe_histogram!(self.name, self.meaning),
        }
    }

    pub(super) fn counter(&self, pipeline: &str) -> Counter {
        counter!(self.name, "pipeline" => pipeline.to_owned())
    }

    pub(super) fn gauge(&self, pipeline: &str) -> Gauge {
        gauge!(self.name, "pipeline" => pipeline.to_owned())
    }

    pub(super) fn histogram(&self, pipeline: &str) -> Histogram {
        histogram!(self.name, "pipeline" => pipeline.to_owned())
    }

    pub(super) fn counters<const N: usize>(&self, pipeline: &str) -> [Counter; N] {
        self.for_each_value(
            |label, value| counter!(self.name, "pipeline" => pipeline.to_owned(), label => value),
            Counter::noop,
        )
    }

    pub(super) fn gauges<const N: usize>(&self, pipeline: &str) -> [Gauge; N] {
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
}
