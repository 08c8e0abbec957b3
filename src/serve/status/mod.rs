//! What the dashboard shows: read at most once every few seconds, however many look at it.

mod board;
mod coverage_map;
mod latency;

pub(super) use self::{
    board::{Snapshot, StatusBoard},
    coverage_map::{COLUMNS, Cell, CoverageMap},
    latency::{LatencyBucket, latency_buckets},
};
