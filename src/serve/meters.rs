//! What a server counts, for the recorder of the crate `metrics` that the host has installed.

use std::time::Instant;

use actix_web::http::StatusCode;
use metrics::{Counter, Gauge, Histogram, counter, gauge, histogram};

/// The handles of the metrics.
pub(super) struct Meters {
    /// Answers by the first digit of their status, from 1.
    answers: [Counter; 5],
    seconds: Histogram,
    streams: Gauge,
}

impl Meters {
    pub(super) fn new() -> Self {
        let answers = ["1xx", "2xx", "3xx", "4xx", "5xx"]
            .map(|class| counter!("serve_responses_total", "status" => class));
        Self {
            answers,
            seconds: histogram!("serve_response_seconds"),
            streams: gauge!("serve_event_streams"),
        }
    }

    pub(super) fn count(&self, status: StatusCode, began: Instant) {
        let class = usize::from(status.as_u16() / 100).saturating_sub(1);
        if let Some(answers) = self.answers.get(class) {
            answers.increment(1);
        }
        self.seconds.record(began.elapsed().as_secs_f64());
    }

    /// Counts an open event stream until this is dropped.
    pub(super) fn open_stream(&self) -> OpenStream {
        self.streams.increment(1);
        OpenStream(self.streams.clone())
    }
}

pub(super) struct OpenStream(Gauge);

impl Drop for OpenStream {
    fn drop(&mut self) {
        self.0.decrement(1);
    }
}
