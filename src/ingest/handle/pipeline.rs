//! The handle of a pipeline.

use std::{sync::Arc, time::Duration};

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

/// A running pipeline: a coordinator, its fetchers and a storage. Clones are handles of the same pipeline. When the last handle is
/// dropped, the actors stop.
pub struct Pipeline<I: Id> {
    inner: Arc<Inner<I>>,
}

struct Inner<I: Id> {
    coordinator: Addr<Coordinator<I>>,
    /// Cancelled when Storage has closed its connections.
    closed: CancellationToken,
}

impl<I: Id> Pipeline<I> {
    pub(crate) fn new(coordinator: Addr<Coordinator<I>>, closed: CancellationToken) -> Self {
        let inner = Arc::new(Inner {
            coordinator,
            closed,
        });
        Self { inner }
    }

    /// Ingests a list of ids, after the runs that were started before. The list is read only as fast as its ids are fetched.
    pub fn run<L>(&self, ids: L) -> Run<I>
    where
        L: IntoIterator<Item = I>,
        L::IntoIter: Send + 'static,
    {
        self.run_stream(stream::iter(ids))
    }

    /// Ingests a stream of ids. It is polled only when there is room for another id.
    pub fn run_stream(&self, ids: impl Stream<Item = I> + Send + 'static) -> Run<I> {
        let coordinator = &self.inner.coordinator;
        let start = Start::stream(ids);
        let cancel = coordinator.clone().recipient();
        let watch = RunWatch::new(start.run(), start.control.clone(), cancel);
        let (report, reported) = oneshot::channel();
        coordinator.do_send(StartRun { start, report });
        Run::new(reported, watch, self.inner.clone())
    }

    /// Hands out no more ids, of any run, until [`Pipeline::resume`]. Requests in flight and their retries go on, and so do ids
    /// that wait at a fetcher ([`Config::mailbox`](crate::Config::mailbox)). What was fetched is committed.
    pub fn pause(&self) {
        self.inner.coordinator.do_send(Pause);
    }

    /// Hands out ids again.
    pub fn resume(&self) {
        self.inner.coordinator.do_send(Resume);
    }

    /// Cancels every run, drains, stops the actors, and reports how the runs ended.
    ///
    /// Requests in flight may go on for three quarters of `within`; what they bring is committed in the rest. If all of it is done
    /// in time, which usually takes much less, the pipeline's connections are closed too. The runs' own reports come before this
    /// one. No run can be started afterwards.
    ///
    /// # Errors
    /// The pipeline had stopped before.
    pub async fn shutdown(&self, within: Duration) -> Result<ShutdownReport, PipelineStopped> {
        let deadline = Instant::now().checked_add(within);
        let answer = self.inner.coordinator.send(Shutdown { within });
        let report = answer.await.map_err(|_| PipelineStopped)??;
        // If this outlasts the bound, a commit is still under way.
        let closed = self.inner.closed.cancelled();
        match deadline {
            Some(deadline) => _ = timeout_at(deadline, closed).await,
            None => closed.await,
        }
        Ok(report)
    }

    /// The actor behind this handle, for hosts that send the [messages](crate::ingest::messages) themselves. Its address keeps
    /// nothing alive: the actor stops with the last handle.
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

impl<I: Id> Drop for Inner<I> {
    fn drop(&mut self) {
        self.coordinator.do_send(HandlesDropped);
    }
}
