//! What is counted and measured. One call of the recorder counts an event for the run's report and for the exporter.

pub(crate) mod event;
pub(crate) mod recorder;
pub(crate) mod latency;
pub(crate) mod meters;
pub mod metrics;
