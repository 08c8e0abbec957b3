//! The handle of a pipeline.

use std::{fmt, sync::Arc, time::Duration};

use actix::Addr;
use futures_util::{Stream, stream};
use tokio::{
    sync::oneshot,
    time::{Instant, timeout_at},
};
use tokio_util::sync::CancellationToken;

use crate::ingest::{
    actors::coordinator::Coordinator,
    handle::run::{Run, RunWatch},
    messages::{HandlesDropped, Pause, PipelineStopped, Resume, Shutdown, Start, StartRun},
    outcome::shutdown_report::ShutdownReport,
    source::Id,
};

/// A handle of a running pipeline: a coordinator, its fetchers and a Storage. Clones are handles of the same pipeline. The actors stop
/// when the last `Pipeline` and [`Run`] are dropped.
pub struct Pipeline<I: Id> {
    inner: Arc<PipelineInner<I>>,
}

struct PipelineInner<I: Id> {
    coordinator: Addr<Coordinator<I>>,
    /// Cancelled when Storage has closed its connection pool.
    closed: CancellationToken,
}

impl<I: Id> Pipeline<I> {
    pub(crate) fn new(coordinator: Addr<Coordinator<I>>, closed: CancellationToken) -> Self {
        let inner = Arc::new(PipelineInner {
            coordinator,
            closed,
        });
        Self { inner }
    }

    /// Starts a run of a list of ids. It begins when the runs before it have ended. The list is read only as fast as its ids are
    /// fetched.
    pub fn run<L>(&self, ids: L) -> Run<I>
    where
        L: IntoIterator<Item = I>,
        L::IntoIter: Send + 'static,
    {
        self.run_stream(stream::iter(ids))
    }

    /// Starts a run of a stream of ids. The stream is polled only when a fetcher has room for another id.
    pub fn run_stream(&self, ids: impl Stream<Item = I> + Send + 'static) -> Run<I> {
        let coordinator = &self.inner.coordinator;
        let start = Start::stream(ids);
        let cancel = coordinator.clone().recipient();
        let watch = RunWatch::new(start.run(), start.control.clone(), cancel);
        let (report, reported) = oneshot::channel();
        coordinator.do_send(StartRun { start, report });
        Run::new(reported, watch, self.inner.clone())
    }

    /// Pauses the pipeline: no ids are handed out until [`Pipeline::resume`]. Fetchers finish the ids that they hold, retries included,
    /// and their answers are committed.
    pub fn pause(&self) {
        self.inner.coordinator.do_send(Pause);
    }

    /// Ends a pause.
    pub fn resume(&self) {
        self.inner.coordinator.do_send(Resume);
    }

    /// Cancels all runs, drains them, stops the actors, and reports how the runs ended.
    ///
    /// Requests in flight may continue for three quarters of `within`; the rest is for committing their answers. Usually all of it
    /// takes much less. If it is done in time, the database connections are closed, too, when this returns. The reports of the runs
    /// come before this one. No run can be started afterwards. Await it inside an actix System or a tokio runtime with a timer.
    ///
    /// # Errors
    /// The pipeline has stopped already: it was shut down, or the arbiter that it ran on has ended. See
    /// [signals and ends of Systems](crate::guide::systems).
    pub async fn shutdown(&self, within: Duration) -> Result<ShutdownReport, PipelineStopped> {
        let deadline = Instant::now().checked_add(within);
        let answer = self.inner.coordinator.send(Shutdown { within });
        let report = answer.await.map_err(|_| PipelineStopped)??;
        // This takes longer than the deadline only if a commit is still under way.
        let closed = self.inner.closed.cancelled();
        match deadline {
            Some(deadline) => _ = timeout_at(deadline, closed).await,
            None => closed.await,
        }
        Ok(report)
    }

    /// The actor behind this handle, for hosts that send the [messages](crate::ingest::messages) themselves. The actor stops when the
    /// last handle is dropped, even if its address is still held.
    pub fn coordinator(&self) -> Addr<Coordinator<I>> {
        self.inner.coordinator.clone()
    }
}

impl<I: Id> Clone for Pipeline<I> {
    fn clone(&self) -> Self {
        Self {
            inner: self.inner.clone(),
        }
    }
}

impl<I: Id> fmt::Debug for Pipeline<I> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pipeline")
            .field("is_stopped", &!self.inner.coordinator.connected())
            .finish_non_exhaustive()
    }
}

impl<I: Id> Drop for PipelineInner<I> {
    fn drop(&mut self) {
        self.coordinator.do_send(HandlesDropped);
    }
}
