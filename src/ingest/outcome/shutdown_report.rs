//! How a shutdown ended the runs of a pipeline.

use serde::Serialize;

use crate::ingest::outcome::progress::Progress;

/// How the runs ended that [`Pipeline::shutdown`](crate::Pipeline::shutdown) stopped. The counters are sums over all these runs:
/// `requested = stored + absent + failed + not_attempted + undecided`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct ShutdownReport {
    /// Runs that were under way.
    pub runs: u64,
    /// Ids read from their lists, or all ids of lists that know their length.
    pub requested: u64,
    /// Ids whose record is committed.
    pub stored: u64,
    /// Ids that are committed as absent.
    pub absent: u64,
    /// Ids that are committed as failed.
    pub failed: u64,
    /// Ids without a committed outcome.
    pub not_attempted: u64,
    /// Ids that Storage still held when the time was over. Their commit may succeed or fail. If this number is not 0, the run of
    /// these ids ends without a report.
    pub undecided: u64,
}

impl ShutdownReport {
    /// Adds a run that ended with a report.
    pub(crate) fn add_ended(&mut self, totals: &Progress) {
        self.runs += 1;
        // A list may claim to hold so many ids that the sum does not fit into `u64`.
        for (sum, more) in [
            (&mut self.requested, totals.requested),
            (&mut self.stored, totals.stored),
            (&mut self.absent, totals.absent),
            (&mut self.failed, totals.failed),
            (&mut self.not_attempted, totals.not_attempted),
        ] {
            *sum = sum.saturating_add(more);
        }
    }

    /// Adds a run that was abandoned at the end of the bound. `in_storage` of its rows may still be committed.
    pub(crate) fn add_abandoned(&mut self, totals: &Progress, in_storage: u64) {
        self.add_ended(totals);
        self.undecided += in_storage;
        let counted = totals.settled() + totals.not_attempted + in_storage;
        let left = totals.requested.saturating_sub(counted);
        self.not_attempted = self.not_attempted.saturating_add(left);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_id_of_an_abandoned_run_is_counted_once() {
        let totals = Progress {
            requested: 100,
            stored: 10,
            failed: 5,
            ..Progress::default()
        };
        let mut report = ShutdownReport::default();
        report.add_abandoned(&totals, 20);
        assert_eq!((report.undecided, report.not_attempted), (20, 65));
        report.add_ended(&Progress {
            requested: u64::MAX,
            ..Progress::default()
        });
        assert_eq!((report.runs, report.requested), (2, u64::MAX));
    }
}
