//! The control of a run: its stop signal, its recorder and its circuit breaker, shared by all that work for the run.

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
    http::error::AttemptError,
    limits::{breaker::Breaker, signal::Signal},
    priority::Priority,
    stats::recorder::Recorder,
};

/// The state that the actors and the handles of a run share.
#[derive(Debug)]
pub(crate) struct RunControl {
    /// The priority of the run.
    pub(crate) priority: Priority,
    /// Stops the requests of the run.
    pub(crate) stop: StopSignal,
    /// Counts what happens in the run.
    pub(crate) recorder: Recorder,
    /// Decides whether the API is out. The client records each attempt in it, and the coordinator acts on its state.
    breaker: Mutex<Breaker>,
    /// The error of the last attempt that counts toward an outage, for messages.
    last_error: Mutex<String>,
    /// Wakes the coordinator when the breaker's state changed.
    breaker_changed: Notify,
    /// Cancelled when the run has ended, with a report or with its pipeline.
    ended: CancellationToken,
}

impl Default for RunControl {
    fn default() -> Self {
        Self {
            priority: Priority::default(),
            stop: StopSignal::default(),
            recorder: Recorder::default(),
            breaker: Mutex::new(Breaker::new(Instant::now())),
            last_error: Mutex::default(),
            breaker_changed: Notify::new(),
            ended: CancellationToken::new(),
        }
    }
}

impl RunControl {
    /// Locks the circuit breaker.
    pub(crate) fn breaker(&self) -> MutexGuard<'_, Breaker> {
        self.breaker.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The error of the last attempt that counts toward an outage. Empty if there was none.
    pub(crate) fn last_error(&self) -> MutexGuard<'_, String> {
        self.last_error
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// Records the end of an attempt in the breaker.
    pub(crate) fn record_signal(&self, signal: Signal, error: Option<&AttemptError>) {
        if let Some(error) = error.filter(|_| signal.is_failure()) {
            *self.last_error() = error.to_string();
        }
        if self.breaker().record(Instant::now(), signal) {
            self.breaker_changed.notify_one();
        }
    }

    /// Waits until the breaker's state changes, or returns at once if it has changed since the last call.
    pub(crate) async fn breaker_changed(&self) {
        self.breaker_changed.notified().await;
    }

    /// Waits for a permit to start a request, and records how long it waited. `None` as soon as the run is stopping.
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

    /// Makes the guard whose drop marks the end of the run.
    pub(crate) fn end_guard(&self) -> DropGuard {
        self.ended.clone().drop_guard()
    }

    /// Marks the end of the run now.
    pub(crate) fn mark_ended(&self) {
        self.ended.cancel();
    }

    pub(crate) fn has_ended(&self) -> bool {
        self.ended.is_cancelled()
    }

    /// Waits for the end of the run.
    pub(crate) async fn ended(&self) {
        self.ended.cancelled().await;
    }
}
