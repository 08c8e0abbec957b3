//! A shutdown under way: the report that its callers get.

use tokio::sync::oneshot;

use crate::ingest::outcome::shutdown_report::ShutdownReport;

/// See the [module](self).
#[derive(Default)]
pub(super) struct OngoingShutdown {
    /// The sums over the runs that have ended so far.
    pub(super) report: ShutdownReport,
    /// The callers that wait for the report: a shutdown can be requested more than once.
    listeners: Vec<oneshot::Sender<ShutdownReport>>,
}

impl OngoingShutdown {
    /// Adds a caller. The report is sent to the receiver that this returns.
    pub(super) fn listen(&mut self) -> oneshot::Receiver<ShutdownReport> {
        let (sender, receiver) = oneshot::channel();
        self.listeners.push(sender);
        receiver
    }

    /// Sends the report to all callers.
    pub(super) fn finish(self) {
        for listener in self.listeners {
            // The caller may have stopped waiting.
            let _ = listener.send(self.report.clone());
        }
    }
}
