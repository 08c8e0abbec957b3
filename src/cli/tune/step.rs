//! One step of a sweep: what a worker count achieved.

use crate::ingest::Progress;

#[derive(Clone, Debug)]
pub(super) struct Step {
    pub(super) workers: usize,
    pub(super) items_per_second: f64,
    /// The counters of the step's run at its end.
    pub(super) totals: Progress,
}

impl Step {
    pub(super) fn failed_attempts(&self) -> u64 {
        failed_attempts(&self.totals)
    }
}

/// How many attempts failed, whether they were tried again or not.
pub(super) fn failed_attempts(progress: &Progress) -> u64 {
    let attempts: u64 = progress.attempts_failed.iter().sum();
    // An answer that is not an item fails its id, but does not count as a failed attempt.
    attempts.max(progress.failed)
}
