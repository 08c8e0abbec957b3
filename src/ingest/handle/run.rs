//! The handle of one run.

use std::{
    any::Any,
    fmt,
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use actix::Recipient;
use futures_util::{Stream, stream};
use tokio::sync::oneshot;

#[cfg(feature = "cli")]
use crate::ingest::stats::recorder::Recorder;
use crate::ingest::{
    handle::control::RunControl,
    messages::{Cancel, PipelineStopped, RunId},
    outcome::{progress::Progress, report::Report},
};

/// The handle of a run. Await it for its [`Report`]. Dropping it does not stop the run, unless it is
/// the last handle of its pipeline. ([`Outcomes`](crate::Outcomes) and [`RunWatch`] are no handles.)
#[must_use = "a run goes on without its handle, but its report is lost"]
pub struct Run<I> {
    pub(super) report: oneshot::Receiver<Report<I>>,
    pub(super) watch: RunWatch,
    /// Keeps the pipeline alive, so that a run can be awaited after all other handles are dropped.
    pub(super) _pipeline: Arc<dyn Any + Send + Sync>,
}

/// Watches and cancels a run while its [`Run`] is awaited. It does not keep the pipeline alive.
#[derive(Clone)]
pub struct RunWatch {
    pub(super) run: RunId,
    /// Has the counters, and knows whether the run has ended.
    pub(super) control: Arc<RunControl>,
    /// The coordinator.
    pub(super) cancel: Recipient<Cancel>,
}

impl<I> Run<I> {
    /// A handle that watches and cancels this run while it is awaited.
    pub fn watch(&self) -> RunWatch {
        self.watch.clone()
    }

    /// The counters at this moment.
    pub fn progress(&self) -> Progress {
        self.watch.progress()
    }

    /// See [`RunWatch::events`].
    pub fn events(
        &self,
        every: Duration,
    ) -> impl Stream<Item = Progress> + Send + 'static + use<I> {
        self.watch.events(every)
    }

    /// Cancels the run: no more of its ids are handed out, and requests in flight may continue for
    /// [`Config::drain`](crate::Config::drain). Their answers are committed, and the run still ends with a report.
    pub fn cancel(&self) {
        self.watch.cancel();
    }
}

impl<I> fmt::Debug for Run<I> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Run")
            .field("id", &self.watch.run)
            .field("is_over", &self.watch.is_over())
            .finish_non_exhaustive()
    }
}

impl<I> Future for Run<I> {
    type Output = Result<Report<I>, PipelineStopped>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let report = Pin::new(&mut self.report).poll(cx);
        if report.is_ready() {
            // The coordinator marks the end, too, but maybe a moment later than it sends the report.
            self.watch.control.ended.cancel();
        }
        report.map_err(|_| PipelineStopped)
    }
}

impl fmt::Debug for RunWatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RunWatch")
            .field("id", &self.run)
            .field("is_over", &self.is_over())
            .finish_non_exhaustive()
    }
}

impl RunWatch {
    /// The counters at this moment.
    pub fn progress(&self) -> Progress {
        self.control.recorder.progress()
    }

    /// The counters of several runs together, at this moment.
    #[cfg(feature = "cli")]
    pub(crate) fn progress_of_all(runs: &[Self]) -> Progress {
        Recorder::progress_of_all(runs.iter().map(|run| &run.control.recorder))
    }

    /// A stream of the counters: now, once per `every` (at least a millisecond), and at the end of the run, which ends the
    /// stream. Poll it inside an actix System or a tokio runtime with a timer.
    pub fn events(&self, every: Duration) -> impl Stream<Item = Progress> + Send + 'static + use<> {
        let every = every.max(Duration::from_millis(1));
        let first = Some((self.control.clone(), Duration::ZERO));
        stream::unfold(first, move |state| async move {
            let (control, wait) = state?;
            let is_over = tokio::time::timeout(wait, control.ended.cancelled())
                .await
                .is_ok();
            let progress = control.recorder.progress();
            Some((progress, (!is_over).then_some((control, every))))
        })
    }

    /// Whether the run has ended, with a report or with its pipeline. It is true as soon as awaiting the [`Run`] has given a
    /// result.
    pub fn is_over(&self) -> bool {
        self.control.ended.is_cancelled()
    }

    /// Identifies the run in [messages](crate::ingest::messages).
    pub fn id(&self) -> RunId {
        self.run
    }

    /// See [`Run::cancel`].
    pub fn cancel(&self) {
        self.cancel.do_send(Cancel(self.run));
    }
}
