//! The handle of a pipeline.

use std::{sync::Arc, time::Duration};

use actix::Addr;
use futures_util::{Stream, stream};
use tokio::{sync::oneshot, time::Instant};
use tokio_util::sync::CancellationToken;

use crate::ingest::{
    actors::coordinator::Coordinator,
    actors::coordinator::drain::ShutdownReport,
    handle::run::{PipelineStopped, Run},
    messages::{Begin, Close, Pause, Resume, Shutdown, Start},
    source::Id,
};

/// A running pipeline: a coordinator, its fetchers and a storage. Clones are handles of the same; when the last is dropped the
/// actors stop.
pub struct Pipeline<I: Id> {
    inner: Arc<Inner<I>>,
}

struct Inner<I: Id> {
    coordinator: Addr<Coordinator<I>>,
    /// Cancelled when the connections are given up.
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

    /// Ingests a list of ids, after the runs that were begun before. The list is read as fast as its ids are fetched.
    pub fn run<L>(&self, ids: L) -> Run<I>
    where
        L: IntoIterator<Item = I>,
        L::IntoIter: Send + 'static,
    {
        self.run_stream(stream::iter(ids))
    }

    /// Ingests a stream of ids, which is polled only when there is room for another.
    pub fn run_stream(&self, ids: impl Stream<Item = I> + Send + 'static) -> Run<I> {
        let coordinator = &self.inner.coordinator;
        let start = Start::stream(ids);
        let (run, control) = (start.run(), start.control.clone());
        let (report, reported) = oneshot::channel();
        coordinator.do_send(Begin { start, report });
        let cancel = coordinator.clone().recipient();
        Run::new(run, control, cancel, reported, self.inner.clone())
    }

    /// Hands out no more ids, of any run, until [`Pipeline::resume`]. What is in flight goes on, its retries included, and so do
    /// the ids that wait at a fetcher ([`Config::mailbox`](crate::Config::mailbox)); what was fetched is committed.
    pub fn pause(&self) {
        self.inner.coordinator.do_send(Pause);
    }

    /// Hands out ids again.
    pub fn resume(&self) {
        self.inner.coordinator.do_send(Resume);
    }

    /// Cancels every run, drains, and stops the actors; then says what these runs came to. Requests in flight may go on for
    /// three quarters of `within`; what they bring is committed in the rest. When all of it is done in time, which is as a rule
    /// much sooner, the pipeline's connections are closed too.
    ///
    /// The runs' own reports come first. No run can be started afterwards.
    ///
    /// # Errors
    /// The pipeline has stopped before.
    pub async fn shutdown(&self, within: Duration) -> Result<ShutdownReport, PipelineStopped> {
        let deadline = Instant::now().checked_add(within);
        let asked = self.inner.coordinator.send(Shutdown { within });
        let report = asked.await.map_err(|_| PipelineStopped)??;
        // Only a commit that outlasts the bound is still at it then.
        let closed = self.inner.closed.cancelled();
        match deadline {
            Some(deadline) => _ = tokio::time::timeout_at(deadline, closed).await,
            None => closed.await,
        }
        Ok(report)
    }

    /// The actor that all of this is sent to, for who would rather send the [messages](crate::ingest::messages) itself. Its address keeps nothing alive:
    /// the last handle stops it.
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
        self.coordinator.do_send(Close);
    }
}
