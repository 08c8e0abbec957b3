//! Tests that a run emits the metrics of the documented table.
//!
//! This is a test program of its own, because a process has only one recorder of metrics.
#![allow(clippy::unwrap_used)]

mod support;

use std::{collections::BTreeMap, time::Duration};

use diesel::{QueryResult, SqliteConnection};
use hn_ingest::{
    Builder, Config, DecodeError, Settled, Sink, Source,
    ingest::metrics::{Kind, METRICS},
    test_util::{Latch, Reply, ScriptedServer},
};
use metrics_util::debugging::{DebugValue, DebuggingRecorder, Snapshotter};

use crate::support::{eventually, in_system};

/// A source of records without content, below this URL.
struct EmptyRecords(String);

impl Source for EmptyRecords {
    type Id = u32;
    type Record = ();

    fn url(&self, id: &u32) -> String {
        format!("{}/{id}", self.0)
    }

    fn is_absent(&self, status: u16) -> bool {
        status == 404
    }

    fn decode(&self, _: &u32, _: &[u8]) -> Result<Option<()>, DecodeError> {
        Ok(Some(()))
    }
}

/// A sink that stores nothing.
struct NullSink;

impl Sink for NullSink {
    type Id = u32;
    type Record = ();
    type Connection = SqliteConnection;

    fn write(&self, _: &mut SqliteConnection, _: &[Settled<u32, ()>]) -> QueryResult<()> {
        Ok(())
    }
}

/// Identifies a metric.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct MetricKey {
    name: String,
    /// The name and the value of its label besides `pipeline`, if it has one.
    label: Option<(String, String)>,
}

impl MetricKey {
    fn new(name: &str, label: Option<(&str, &str)>) -> Self {
        Self {
            name: name.to_owned(),
            label: label.map(|(name, value)| (name.to_owned(), value.to_owned())),
        }
    }
}

/// The values of all metrics. Checks that each has a description and the label `pipeline`.
fn snapshot(snapshotter: &Snapshotter) -> BTreeMap<MetricKey, DebugValue> {
    let metrics = snapshotter.snapshot().into_vec().into_iter();
    metrics
        .map(|(key, _, description, value)| {
            let (_, key) = key.into_parts();
            assert!(description.is_some(), "{key} has no description");
            let labels = key.labels().map(|label| (label.key(), label.value()));
            let (pipeline, others): (Vec<_>, Vec<_>) =
                labels.partition(|(name, _)| *name == "pipeline");
            assert_eq!(pipeline, [("pipeline", "ours")], "{key}");
            let label = others.first().copied();
            (MetricKey::new(key.name(), label), value)
        })
        .collect()
}

/// Changes every metric: with a retry, an absent record, a failure, a full batch, a batch after the linger time, and a cancelled
/// run.
async fn change_every_metric(server: &ScriptedServer) {
    server.otherwise(|_| Reply::json("1"));
    server.on("/1", [Reply::status(503), Reply::json("1")]);
    server.on("/2", [Reply::status(404)]);
    server.on("/3", [Reply::status(400)]);
    let config = Config {
        workers: 4,
        rate: 200,
        batch: 10,
        backoff: Duration::from_millis(1),
        drain: Duration::ZERO,
        ..Config::default()
    };
    let folder = tempfile::tempdir().unwrap();
    let builder = Builder::new(EmptyRecords(server.url()), NullSink)
        .config(config)
        .name("ours");
    let pipeline = builder
        .database(folder.path().join("m.db"))
        .start()
        .await
        .unwrap();
    let report = pipeline.run(1..=45).await.unwrap();
    assert_eq!(
        (
            report.totals.stored,
            report.totals.failed,
            report.totals.absent
        ),
        (43, 1, 1)
    );
    let never_opened = Latch::new();
    server.otherwise(move |_| Reply::json("1").held_by(&never_opened));
    let run = pipeline.run(101..=110);
    eventually("four requests are in flight", || {
        run.progress().in_flight == 4
    })
    .await;
    run.cancel();
    assert_eq!(run.await.unwrap().totals.not_attempted, 10);
    pipeline.shutdown(Duration::from_secs(10)).await.unwrap();
}

#[test]
fn a_run_emits_every_documented_metric_and_no_other() {
    let recorder = DebuggingRecorder::new();
    let snapshotter = recorder.snapshotter();
    recorder.install().unwrap();
    let server = ScriptedServer::start();
    in_system(change_every_metric(&server));

    let emitted = snapshot(&snapshotter);
    let mut documented = Vec::new();
    for metric in METRICS {
        match metric.label {
            None => documented.push((metric, MetricKey::new(metric.name, None))),
            Some((label, values)) => documented.extend(
                values
                    .iter()
                    .map(|value| (metric, MetricKey::new(metric.name, Some((label, value))))),
            ),
        }
    }
    let mut keys: Vec<_> = documented.iter().map(|(_, key)| key.clone()).collect();
    keys.sort();
    assert_eq!(keys, emitted.keys().cloned().collect::<Vec<_>>());

    for (metric, key) in &documented {
        let is_right = match (&emitted[key], metric.kind) {
            (DebugValue::Counter(_), Kind::Counter) => true,
            // The runs have ended, so no request is in flight and no row waits.
            (DebugValue::Gauge(now), Kind::Gauge) => now.0 == 0.0,
            (DebugValue::Histogram(values), Kind::Histogram) => !values.is_empty(),
            _ => false,
        };
        assert!(is_right, "{key:?} is {:?}", emitted[key]);
    }
    let count =
        |name: &str, label: Option<(&str, &str)>| match &emitted[&MetricKey::new(name, label)] {
            DebugValue::Counter(count) => *count,
            other => panic!("{name} is {other:?}"),
        };
    let outcome = |value| Some(("outcome", value));
    for (name, label, expected) in [
        ("ingest_attempts_total", None, 50),
        ("ingest_retries_total", None, 1),
        ("ingest_requests_total", outcome("ok"), 43),
        ("ingest_requests_total", outcome("status"), 3),
        ("ingest_requests_total", outcome("dropped"), 4),
        ("ingest_requests_total", outcome("timeout"), 0),
        ("ingest_body_bytes_total", None, 43),
        ("ingest_settled_total", outcome("stored"), 43),
        ("ingest_settled_total", outcome("absent"), 1),
        ("ingest_settled_total", outcome("failed"), 1),
        ("ingest_settled_total", outcome("not_attempted"), 10),
        ("ingest_runs_total", None, 2),
        ("ingest_fetchers_replaced_total", None, 0),
    ] {
        assert_eq!(count(name, label), expected, "{name} {label:?}");
    }
    assert!(count("ingest_batches_total", Some(("trigger", "rows"))) >= 1);
}
