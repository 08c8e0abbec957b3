//! The metrics of `follow`, beside those of its pipelines. `docs/settings.md` has them as a table.

use std::time::Duration;

use metrics::{counter, gauge, histogram};

use crate::ingest::metrics::{Metric, declare_metrics};

declare_metrics! {
    /// Every metric, in the order of the table.
    const FOLLOW_METRICS;
    FRESHNESS: Histogram "ingest_freshness_seconds", "From the announcement of each new id until its item is stored";
    LISTENER_UP: Gauge "ingest_listener_up", "Whether the stream is open (1) or not (0)";
    LAST_EVENT: Gauge "ingest_listener_last_event_seconds", "How long ago the last event came, of whichever stream";
    RECONNECTS: Counter "ingest_listener_reconnects_total", "How often the stream broke and was opened again";
    QUEUE_IDS: Gauge "ingest_follow_queue_ids", "Ids that are announced and not requested yet";
    REFRESHES_DUE: Gauge "ingest_refreshes_due", "Items that are due to be read again";
    REFRESHED_ITEMS: Counter "ingest_refreshed_items_total", "Items that were read again";
    REFRESHED_CHANGED: Counter "ingest_refreshed_changed_total", "Items that were read again and had changed";
}

/// Buckets of [`FRESHNESS`]: from the time of one batch to that of an outage. 2 s is what `follow` promises.
pub(super) const FRESHNESS_BUCKETS: [f64; 13] = [
    0.05, 0.1, 0.25, 0.5, 1.0, 1.5, 2.0, 3.0, 5.0, 10.0, 60.0, 600.0, 3600.0,
];

/// Registers the metrics that have no labels, so that they are served before something happens.
pub(super) fn register() {
    FOLLOW_METRICS.iter().for_each(Metric::describe);
    drop(histogram!(FRESHNESS.name));
    set_queue(0);
    set_refreshes_due(0);
    note_refreshed(0, 0);
}

/// A new id was committed this long after its announcement.
pub(super) fn note_fresh(after: Duration) {
    histogram!(FRESHNESS.name).record(after);
}

/// The stream is open, or not any more.
pub(super) fn set_listener_up(stream: &'static str, is_up: bool) {
    gauge!(LISTENER_UP.name, "stream" => stream).set(f64::from(u8::from(is_up)));
}

/// How long ago the last event came. To be called every few seconds.
pub(super) fn set_last_event(ago: Duration) {
    gauge!(LAST_EVENT.name).set(ago.as_secs_f64());
}

/// The stream was open before, and is opened again.
pub(super) fn note_reconnect(stream: &'static str) {
    counter!(RECONNECTS.name, "stream" => stream).increment(1);
}

/// How many ids are announced and not requested yet.
pub(super) fn set_queue(ids: usize) {
    gauge!(QUEUE_IDS.name).set(ids as f64);
}

/// How many items are due to be read again.
pub(super) fn set_refreshes_due(items: usize) {
    gauge!(REFRESHES_DUE.name).set(items as f64);
}

/// `items` were read again, and `changed` of them had changed.
pub(super) fn note_refreshed(items: u64, changed: u64) {
    counter!(REFRESHED_ITEMS.name).increment(items);
    counter!(REFRESHED_CHANGED.name).increment(changed);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ingest::metrics::Kind;

    const DOCUMENTATION: &str = include_str!("../../docs/settings.md");

    fn kind_name(kind: Kind) -> &'static str {
        match kind {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
            Kind::Histogram => "histogram",
        }
    }

    #[test]
    fn each_metric_has_its_line_in_the_documentation() {
        for Metric {
            name,
            kind,
            meaning,
            ..
        } in FOLLOW_METRICS
        {
            let begin = format!("| `{name}` | {} |", kind_name(*kind));
            let line = DOCUMENTATION.lines().find(|line| line.starts_with(&begin));
            let line = line.unwrap_or_else(|| panic!("{begin} is missing"));
            assert!(line.ends_with(&format!(" {meaning} |")), "{line}");
        }
    }

    #[test]
    fn all_metrics_are_served_with_the_values_that_were_recorded() {
        let recorder = metrics_exporter_prometheus::PrometheusBuilder::new().build_recorder();
        metrics::with_local_recorder(&recorder, || {
            register();
            note_fresh(Duration::from_millis(1500));
            set_listener_up("maxitem", true);
            set_listener_up("updates", false);
            set_last_event(Duration::from_secs(3));
            note_reconnect("updates");
            set_queue(7);
            set_refreshes_due(40);
            note_refreshed(10, 3);
        });
        let text = recorder.handle().render();
        for line in [
            "ingest_freshness_seconds_count 1",
            "ingest_listener_up{stream=\"maxitem\"} 1",
            "ingest_listener_up{stream=\"updates\"} 0",
            "ingest_listener_last_event_seconds 3",
            "ingest_listener_reconnects_total{stream=\"updates\"} 1",
            "ingest_follow_queue_ids 7",
            "ingest_refreshes_due 40",
            "ingest_refreshed_items_total 10",
            "ingest_refreshed_changed_total 3",
        ] {
            assert!(text.lines().any(|served| served == line), "{line}: {text}");
        }
        for metric in FOLLOW_METRICS {
            assert!(text.contains(&format!("# HELP {} ", metric.name)), "{text}");
        }
    }
}
