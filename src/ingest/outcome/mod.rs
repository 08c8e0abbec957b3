//! How an id and a run end. Pure data and arithmetic.

pub(crate) mod answer;
pub(crate) mod failure;
pub(crate) mod id_outcome;
pub(crate) mod progress;
pub(crate) mod report;
pub(crate) mod shutdown_report;
pub(crate) mod panics;
mod serialize;
