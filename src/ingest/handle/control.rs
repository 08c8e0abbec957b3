//! The control of a run: its stop signal, its recorder and its circuit breaker, shared by all that work for the run.

use std::{
    future::Future,
    pin::{Pin, pin},
    sync::{Mutex, MutexGuard, PoisonError},
};

use futures_util::{
    FutureExt,
    future::{Either, select},
};
use tokio::{sync::Notify, time::Instant};
use tokio_util::sync::CancellationToken;

use crate::ingest::{
    handle::stop::StopSignal,
    http::error::AttemptError,
    limits::{breaker::Breaker, signal::Signal},
    outcome::answer::{AttemptsSoFar, NotAnswered},
    priority::Priority,
    stats::recorder::Recorder,
};

/// The state that the actors and the handles of a run share.
#[derive(Debug, Default)]
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
    /// Wakes the coordinator when the breaker judges the API in another way.
    pub(crate) breaker_changed: Notify,
    /// Makes a fetcher of the run give its id back: one that waits to start an attempt, or the next one that does.
    pub(crate) give_way: Notify,
    /// Cancelled when the run has ended, with a report or with its pipeline.
    pub(crate) ended: CancellationToken,
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

    /// Waits for a permit to start a request, and records how long it waited.
    pub(crate) async fn wait_for_permit<T>(
        &self,
        mut permit: Pin<&mut impl Future<Output = T>>,
        so_far: AttemptsSoFar,
    ) -> Result<T, NotAnswered> {
        if self.stop.is_stopping() {
            return Err(NotAnswered::Stopped);
        }
        if let Some(at_once) = permit.as_mut().now_or_never() {
            return Ok(at_once);
        }
        let began = Instant::now();
        let permit = self.wait_to_start(permit, so_far).await?;
        self.recorder.record_wait(began.elapsed());
        Ok(permit)
    }

    /// Waits for something that an attempt needs to start. `so_far` is what was done for its id.
    ///
    /// # Errors
    /// The run is stopping, or an id of a higher priority needs the fetcher.
    pub(crate) async fn wait_to_start<T>(
        &self,
        wanted: impl Future<Output = T>,
        so_far: AttemptsSoFar,
    ) -> Result<T, NotAnswered> {
        let wanted = pin!(self.stop.unless_stopping(wanted));
        let give_way = pin!(self.give_way.notified());
        match select(wanted, give_way).await {
            Either::Left((ready, _)) => ready.ok_or(NotAnswered::Stopped),
            Either::Right(_) => Err(NotAnswered::GaveWay(so_far)),
        }
    }
}
