//! What a run shares with everything that works for it: the stop signal, the recorder and the circuit breaker.

use std::{
    future::Future,
    pin::Pin,
    sync::{Mutex, MutexGuard, PoisonError},
};

use futures_util::FutureExt;
use tokio::{sync::Notify, time::Instant};
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::ingest::{
    handle::stop::StopSignal,
    limits::{breaker::Breaker, signal::Signal},
    stats::recorder::Recorder,
};

/// One run's shared state. It is made with the run and lives as long as anything refers to the run.
#[derive(Debug)]
pub(crate) struct RunControl {
    pub(crate) stop: StopSignal,
    pub(crate) recorder: Recorder,
    breaker: Mutex<Breaker>,
    /// Tells the coordinator that the breaker's state changed.
    breaker_changed: Notify,
    /// Cancelled when the run has ended, with a report or with its pipeline.
    ended: CancellationToken,
}

impl Default for RunControl {
    fn default() -> Self {
        Self {
            stop: StopSignal::default(),
            recorder: Recorder::default(),
            breaker: Mutex::new(Breaker::new(Instant::now())),
            breaker_changed: Notify::new(),
            ended: CancellationToken::new(),
        }
    }
}

impl RunControl {
    pub(crate) fn breaker(&self) -> MutexGuard<'_, Breaker> {
        self.breaker.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Tells the breaker how an attempt ended; `quiet_until` is how long the API asked to be left alone.
    pub(crate) fn record_signal(&self, signal: Signal, quiet_until: Option<Instant>) {
        if self.breaker().record(Instant::now(), signal, quiet_until) {
            self.breaker_changed.notify_one();
        }
    }

    /// Waits until the breaker's state has changed.
    pub(crate) async fn breaker_changed(&self) {
        self.breaker_changed.notified().await;
    }

    /// Waits for a permit to start a request, and records the wait; `None` once the run is stopping.
    pub(crate) async fn wait_for_permit<T>(
        &self,
        mut permit: Pin<&mut impl Future<Output = T>>,
    ) -> Option<T> {
        if self.stop.is_stopping() {
            return None;
        }
        if let Some(at_once) = permit.as_mut().now_or_never() {
            return Some(at_once);
        }
        let began = Instant::now();
        let permit = self.stop.unless_stopping(permit).await?;
        self.recorder.record_wait(began.elapsed());
        Some(permit)
    }

    /// The run has ended when this guard is dropped.
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
}
