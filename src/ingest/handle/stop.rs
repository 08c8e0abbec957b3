//! How a run is stopped: first nothing new starts, then what is in flight is dropped.

use std::{future::Future, pin::Pin, time::Duration};

use futures_util::FutureExt;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

/// Stops a run in two steps, with the drain in between.
#[derive(Debug, Default)]
pub(crate) struct StopSignal {
    stopping: CancellationToken,
    aborted: CancellationToken,
}

impl StopSignal {
    /// First step: no request starts any more, and fetchers that wait to start one give up.
    pub(crate) fn stop(&self) {
        self.stopping.cancel();
    }

    /// Second step: requests in flight are dropped.
    pub(crate) fn abort(&self) {
        self.stopping.cancel();
        self.aborted.cancel();
    }

    pub(crate) fn is_stopping(&self) -> bool {
        self.stopping.is_cancelled()
    }

    pub(crate) fn is_aborted(&self) -> bool {
        self.aborted.is_cancelled()
    }

    /// Sleeps; `None` once the run is stopping.
    pub(crate) async fn sleep(&self, time: Duration) -> Option<()> {
        self.stopping.run_until_cancelled(sleep(time)).await
    }

    /// Waits for something that a request needs to start; `None` once the run is stopping.
    pub(crate) async fn unless_stopping<T>(&self, wanted: impl Future<Output = T>) -> Option<T> {
        self.stopping.run_until_cancelled(wanted).await
    }

    /// Waits for something that started; `None` once the run is aborted.
    pub(crate) async fn unless_aborted<T>(
        &self,
        mut wanted: Pin<&mut impl Future<Output = T>>,
    ) -> Option<T> {
        // Most often it is there at once, and the token need not be watched.
        match wanted.as_mut().now_or_never() {
            Some(at_once) => Some(at_once),
            None => self.aborted.run_until_cancelled(wanted).await,
        }
    }
}
