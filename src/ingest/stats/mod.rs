//! Counters, latency and metrics. One call of the recorder counts an event for the run's report and for the exporter of metrics.

pub(crate) mod event;
pub(crate) mod recorder;
pub(crate) mod latency;
mod last_minute;
pub(crate) mod meters;
pub mod metrics;
