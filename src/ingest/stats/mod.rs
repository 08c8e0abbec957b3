//! What is counted and measured, for reports and for exporters.

pub(crate) mod recorder;

pub mod metrics;

pub(crate) mod latency;
