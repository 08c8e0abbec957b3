//! Ending a pipeline within a bound, and what that saved.

use std::time::Duration;

use tokio::sync::oneshot;

use crate::ingest::stats::recorder::Progress;

/// What the runs came to that [`Pipeline::shutdown`](crate::Pipeline::shutdown) ended:
/// `requested = stored + absent + failed + not_attempted + undecided`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ShutdownReport {
    /// Runs that were under way or waiting.
    pub runs: u64,
    /// Ids read from their lists, or all of them where a list told its length.
    pub requested: u64,
    /// Ids whose record is committed.
    pub stored: u64,
    /// Ids that are committed as absent.
    pub absent: u64,
    /// Ids that are committed as failed.
    pub failed: u64,
    /// Ids of which nothing was saved.
    pub not_attempted: u64,
    /// Ids whose commit was still under way when the bound was over: they may come to be saved or not. Only 0 is sure to be in
    /// time, and their runs get no report.
    pub undecided: u64,
}

impl ShutdownReport {
    fn count(&mut self, totals: &Progress) {
        self.runs += 1;
        // Lists may claim to hold more ids than there are numbers.
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
}

/// The account of a shutdown under way.
#[derive(Default)]
pub(crate) struct Draining {
    report: ShutdownReport,
    listeners: Vec<oneshot::Sender<ShutdownReport>>,
}

impl Draining {
    /// Of a shutdown's bound, the part after which requests in flight are dropped; what they brought is to be committed in the
    /// rest.
    pub(crate) fn for_requests(within: Duration) -> Duration {
        within / 4 * 3
    }

    pub(crate) fn listen(&mut self) -> oneshot::Receiver<ShutdownReport> {
        let (sender, receiver) = oneshot::channel();
        self.listeners.push(sender);
        receiver
    }

    /// A run is over in good order.
    pub(crate) fn count(&mut self, totals: &Progress) {
        self.report.count(totals);
    }

    /// A run is left, `in_storage` of its rows being on their way into the database.
    pub(crate) fn count_left(&mut self, totals: &Progress, in_storage: usize) {
        let undecided = in_storage as u64;
        self.report.count(totals);
        self.report.undecided += undecided;
        let counted = totals.settled() + totals.not_attempted + undecided;
        let left = totals.requested.saturating_sub(counted);
        self.report.not_attempted = self.report.not_attempted.saturating_add(left);
    }

    pub(crate) fn finish(self) {
        for listener in self.listeners {
            // Nobody has to wait for the report.
            let _ = listener.send(self.report.clone());
        }
    }
}
