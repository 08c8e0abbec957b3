//! A shutdown under way: how long requests may go on, and who waits for its report.

use std::time::Duration;

use tokio::sync::oneshot;

use crate::ingest::outcome::{progress::Progress, shutdown_report::ShutdownReport};

/// Collects the report of a shutdown.
#[derive(Default)]
pub(super) struct Drain {
    report: ShutdownReport,
    /// One for each caller of shutdown.
    listeners: Vec<oneshot::Sender<ShutdownReport>>,
}

impl Drain {
    /// How long requests in flight may go on if the whole shutdown may take `within`: three quarters of it. What they bring is
    /// committed in the rest.
    pub(super) fn time_for_requests(within: Duration) -> Duration {
        within / 4 * 3
    }

    /// The report will be sent to the receiver, too.
    pub(super) fn listen(&mut self) -> oneshot::Receiver<ShutdownReport> {
        let (sender, receiver) = oneshot::channel();
        self.listeners.push(sender);
        receiver
    }

    /// A run ended with a report.
    pub(super) fn add_ended(&mut self, totals: &Progress) {
        self.report.add_ended(totals);
    }

    /// A run is left, while `in_storage` of its rows are on their way into the database.
    pub(super) fn add_left(&mut self, totals: &Progress, in_storage: usize) {
        self.report.add_left(totals, in_storage as u64);
    }

    pub(super) fn finish(self) {
        for listener in self.listeners {
            // The caller may have stopped waiting.
            let _ = listener.send(self.report.clone());
        }
    }
}
