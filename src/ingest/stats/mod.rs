//! What is counted and measured. One call of the [recorder](recorder) counts an event for the run's report and for the exporter.

pub(crate) mod recorder;

pub mod metrics;

pub(crate) mod latency;
