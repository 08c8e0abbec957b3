//! The stop signal of a run, with two steps: first no new request starts, later the requests in flight are dropped.

use std::{
    future::Future,
    pin::Pin,
    sync::OnceLock,
    time::{Duration, Instant},
};

use futures_util::FutureExt;
use tokio_util::sync::CancellationToken;

/// Stops a run in two steps. The time between them is the drain.
#[derive(Debug, Default)]
pub(crate) struct StopSignal {
    /// Cancelled by the first step.
    stopping: CancellationToken,
    /// Cancelled by the second step.
    aborted: CancellationToken,
    /// When that was.
    aborted_at: OnceLock<Instant>,
}

impl StopSignal {
    /// The first step: no more attempts start, and fetchers that wait to start one return.
    pub(crate) fn stop(&self) {
        self.stopping.cancel();
    }

    /// The second step: requests in flight are dropped. It includes the first step.
    pub(crate) fn abort(&self) {
        self.aborted_at.get_or_init(Instant::now);
        self.stopping.cancel();
        self.aborted.cancel();
    }

    pub(crate) fn is_stopping(&self) -> bool {
        self.stopping.is_cancelled()
    }

    pub(crate) fn is_aborted(&self) -> bool {
        self.aborted.is_cancelled()
    }

    /// How long ago the run was aborted; `None` if it was not.
    pub(crate) fn aborted_for(&self) -> Option<Duration> {
        self.aborted_at.get().map(Instant::elapsed)
    }

    /// Waits for something that an attempt needs to start. `None` as soon as the run is stopping.
    pub(crate) async fn unless_stopping<T>(&self, wanted: impl Future<Output = T>) -> Option<T> {
        self.stopping.run_until_cancelled(wanted).await
    }

    /// Waits for an attempt that has started, or for room for its answer. `None` as soon as the run is aborted.
    pub(crate) async fn unless_aborted<T>(
        &self,
        mut wanted: Pin<&mut impl Future<Output = T>>,
    ) -> Option<T> {
        // Most often it is ready at once. Then it is cheaper not to watch the token.
        match wanted.as_mut().now_or_never() {
            Some(at_once) => Some(at_once),
            None => self.aborted.run_until_cancelled(wanted).await,
        }
    }
}
