//! What a run shares with all who work for it: how it is stopped, and its counters.

use std::{
    future::Future,
    pin::Pin,
    time::{Duration, Instant},
};

use bytes::Bytes;
use futures_util::FutureExt;
use tokio::time::sleep;
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::ingest::{http::error::AttemptError, stats::metrics::Ended, stats::recorder::Counters};

/// A run is stopped in two steps: first nothing new starts, then, when the drain has lasted long enough, what is in flight is
/// dropped too.
#[derive(Debug, Default)]
pub(crate) struct Control {
    stopping: CancellationToken,
    aborted: CancellationToken,
    ended: CancellationToken,
    pub(crate) counters: Counters,
}

impl Control {
    /// First step: no request starts any more, and who waits for one gives up.
    pub(crate) fn stop(&self) {
        self.stopping.cancel();
    }

    pub(crate) fn is_stopping(&self) -> bool {
        self.stopping.is_cancelled()
    }

    pub(crate) fn is_aborted(&self) -> bool {
        self.aborted.is_cancelled()
    }

    /// Second step: requests in flight are dropped.
    pub(crate) fn abort(&self) {
        self.stopping.cancel();
        self.aborted.cancel();
    }

    /// The run has ended when this is dropped, be it with a report or with its pipeline.
    pub(crate) fn end_guard(&self) -> DropGuard {
        self.ended.clone().drop_guard()
    }

    pub(crate) fn has_ended(&self) -> bool {
        self.ended.is_cancelled()
    }

    /// Waits for the end of the run.
    pub(crate) async fn ended(&self) {
        self.ended.cancelled().await;
    }

    /// Waits before another attempt; `None` once the run is stopping.
    pub(crate) async fn sleep(&self, wait: Duration) -> Option<()> {
        self.stopping.run_until_cancelled(sleep(wait)).await
    }

    /// Waits for something that a fetched record needs; `None` once it is too late for it.
    pub(crate) async fn unless_aborted<T>(
        &self,
        mut wanted: Pin<&mut impl Future<Output = T>>,
    ) -> Option<T> {
        match wanted.as_mut().now_or_never() {
            Some(at_once) => Some(at_once),
            None => self.aborted.run_until_cancelled(wanted).await,
        }
    }

    /// Waits for a turn, and measures the wait where there is one; `None` once the run is stopping.
    pub(crate) async fn turn<T>(&self, mut turn: Pin<&mut impl Future<Output = T>>) -> Option<T> {
        if self.stopping.is_cancelled() {
            return None;
        }
        if let Some(at_once) = turn.as_mut().now_or_never() {
            return Some(at_once);
        }
        let began = Instant::now();
        let waited_for = self.stopping.run_until_cancelled(turn).await?;
        if let Some(meters) = self.counters.meters() {
            meters.wait_seconds.record(began.elapsed());
        }
        Some(waited_for)
    }

    /// Drives a request, counted as in flight meanwhile; `None` when it was dropped.
    pub(crate) async fn in_flight<R>(
        &self,
        request: impl Future<Output = Result<(Bytes, R), AttemptError>>,
    ) -> Option<Result<(Bytes, R), AttemptError>> {
        let _one = self.counters.in_flight.hold();
        let Some(meters) = self.counters.meters() else {
            return self.aborted.run_until_cancelled(request).await;
        };
        let _another = meters.one_in_flight();
        let tried = self.aborted.run_until_cancelled(request).await;
        meters.request(match &tried {
            Some(Ok((body, _))) => {
                meters.body_bytes.increment(body.len() as u64);
                Ended::Ok
            }
            Some(Err(error)) => Ended::Failed(error.kind()),
            None => Ended::Dropped,
        });
        tried
    }
}
