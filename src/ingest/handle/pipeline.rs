//! The handle of a pipeline.

use std::{fmt, hash::Hash, sync::Arc, time::Duration};

use actix::Addr;
use futures_util::Stream;
use tokio::{
    sync::oneshot,
    time::{Instant, timeout_at},
};
use tokio_util::sync::CancellationToken;

use crate::ingest::{
    actors::coordinator::Coordinator,
    handle::{
        event_watch::EventWatch,
        outcomes::Outcomes,
        run::{Run, RunWatch},
    },
    messages::{
        HandlesDropped, Pause, PipelineStopped, Resume, SetRate, SetWorkers, Shutdown, Start,
        StartRun,
    },
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

    /// Starts a run of a list of ids. The list is read only as fast as its ids are fetched.
    ///
    /// All runs of a pipeline go on [side by side](crate::guide::streams#runs-side-by-side). To have one after the other, await the first
    /// one before you start the next.
    pub fn run<L>(&self, ids: L) -> Run<I>
    where
        L: IntoIterator<Item = I>,
        L::IntoIter: Send + 'static,
    {
        self.start(Start::list(ids))
    }

    /// Starts a run of a stream of ids. The stream is polled only while a fetcher is idle or fewer ids are read ahead than
    /// [`mailbox`](crate::Config::mailbox) allows.
    pub fn run_stream(&self, ids: impl Stream<Item = I> + Send + 'static) -> Run<I> {
        self.start(Start::stream(ids))
    }

    /// Starts a run of the ids that the source's [event stream](crate::Source::events) announces. It goes on until it is cancelled, or
    /// until the server has no such stream any more. See [announced ids](crate::guide::streams#announced-ids) in the guide.
    pub fn run_events(&self) -> (Run<I>, EventWatch)
    where
        I: Eq + Hash,
    {
        let (start, events) = Start::events();
        (self.start(start), events)
    }

    /// Starts a run with more choices, such as its priority:
    ///
    /// ```no_run
    /// # fn example(pipeline: &hn_ingest::Pipeline<i64>) {
    /// use hn_ingest::{Priority, Start};
    ///
    /// let backfill = pipeline.start(Start::list(1..=1_000_000).priority(Priority::Low));
    /// # drop(backfill);
    /// # }
    /// ```
    pub fn start(&self, start: Start<I>) -> Run<I> {
        let coordinator = &self.inner.coordinator;
        let watch = RunWatch {
            run: start.run,
            control: start.control.clone(),
            cancel: coordinator.clone().recipient(),
        };
        let (report, reported) = oneshot::channel();
        coordinator.do_send(StartRun { start, report });
        Run {
            report: reported,
            watch,
            _pipeline: self.inner.clone(),
        }
    }

    /// Starts a run of a stream of ids, and reports what becomes of each id. See [`Outcomes`].
    ///
    /// ```no_run
    /// # async fn example(pipeline: hn_ingest::Pipeline<i64>) -> Result<(), hn_ingest::PipelineStopped> {
    /// use hn_ingest::IdOutcome;
    ///
    /// let ids = futures_util::stream::iter([8863, 121003]);
    /// let (run, mut outcomes) = pipeline.run_with_outcomes(ids);
    /// while let Some(batch) = outcomes.next_batch().await {
    ///     for ended in batch.iter().filter(|ended| ended.outcome != IdOutcome::Stored) {
    ///         println!("{}: {:?}", ended.id, ended.outcome);
    ///     }
    /// }
    /// println!("{} stored", run.await?.totals.stored);
    /// # Ok(()) }
    /// ```
    pub fn run_with_outcomes(
        &self,
        ids: impl Stream<Item = I> + Send + 'static,
    ) -> (Run<I>, Outcomes<I>) {
        let (start, outcomes) = Start::stream(ids).with_outcomes();
        (self.start(start), outcomes)
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

    /// Changes [`Config::rate`](crate::Config::rate): requests per second; 0 is no limit, and the most is a million. It counts for all
    /// pipelines that share the client, and at once, also for requests that wait.
    pub fn set_rate(&self, rate: u32) {
        self.inner.coordinator.do_send(SetRate(rate));
    }

    /// Changes [`Config::workers`](crate::Config::workers): how many requests may be in flight, from 1 to 4096. (A number beyond that
    /// counts as the nearest one.) If it becomes lower, requests in flight are finished.
    pub fn set_workers(&self, workers: usize) {
        self.inner.coordinator.do_send(SetWorkers(workers));
    }

    /// Cancels all runs, drains them, stops the actors, and reports how the runs ended.
    ///
    /// Requests in flight may continue for three quarters of `within`; the rest is for committing their answers. Usually all of it
    /// takes much less. (If `within` is too short even for a commit, runs may end without a report.) If it is done in time, the database
    /// connections are closed, too, when this returns, except those of a server that does not answer. The reports of the runs come before
    /// this one. No run can be started afterwards. Await it inside an actix System or a tokio runtime with a timer.
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
