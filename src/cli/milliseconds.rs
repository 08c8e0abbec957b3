//! Durations as the JSON reports show them: in milliseconds, to the microsecond.

use std::time::Duration;

use serde::Serialize;

use crate::ingest::Latency;

pub(super) fn milliseconds(duration: Duration) -> f64 {
    duration.as_micros() as f64 / 1000.0
}

/// How long attempts took.
#[derive(Serialize)]
pub(super) struct LatencyMilliseconds {
    p50: f64,
    p90: f64,
    p99: f64,
    max: f64,
}

impl From<Latency> for LatencyMilliseconds {
    fn from(latency: Latency) -> Self {
        Self {
            p50: milliseconds(latency.p50),
            p90: milliseconds(latency.p90),
            p99: milliseconds(latency.p99),
            max: milliseconds(latency.max),
        }
    }
}
