//! A shutdown under way: how long requests may continue, and the report that its callers get.

use std::time::Duration;

use tokio::sync::oneshot;

use crate::ingest::outcome::{progress::Progress, shutdown_report::ShutdownReport};

/// Collects the report of a shutdown.
#[derive(Default)]
pub(super) struct Drain {
    /// The sums over the runs that have ended so far.
    report: ShutdownReport,
    /// The callers that wait for the report: a shutdown can be requested more than once.
    listeners: Vec<oneshot::Sender<ShutdownReport>>,
}

impl Drain {
    /// How long requests in flight may continue if the whole shutdown may take `within`: three quarters of it. The rest is for
    /// committing their answers.
    pub(super) fn time_for_requests(within: Duration) -> Duration {
        within / 4 * 3
    }

    /// Adds a caller. The report is sent to the receiver that this returns.
    pub(super) fn listen(&mut self) -> oneshot::Receiver<ShutdownReport> {
        let (sender, receiver) = oneshot::channel();
        self.listeners.push(sender);
        receiver
    }

    /// A run ended with a report.
    pub(super) fn add_ended(&mut self, totals: &Progress) {
        self.report.add_ended(totals);
    }

    /// A run is abandoned. `in_storage` of its rows may still be committed.
    pub(super) fn add_abandoned(&mut self, totals: &Progress, in_storage: usize) {
        self.report.add_abandoned(totals, in_storage as u64);
    }

    /// Sends the report to all callers.
    pub(super) fn finish(self) {
        for listener in self.listeners {
            // The caller may have stopped waiting.
            let _ = listener.send(self.report.clone());
        }
    }
}
