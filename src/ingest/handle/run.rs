//! The handle of one run.

use std::{
    any::Any,
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use actix::Recipient;
use futures_util::{Stream, stream};
use tokio::sync::oneshot;

use crate::ingest::{
    handle::control::RunControl,
    messages::{Cancel, PipelineStopped, RunId},
    outcome::{progress::Progress, report::Report},
};

/// A run that is under way or waits for the runs before it. Await it for its [`Report`]. Dropping it does not stop the run.
#[must_use = "a run goes on without its handle, but its report is lost"]
pub struct Run<I> {
    report: oneshot::Receiver<Report<I>>,
    watch: RunWatch,
    /// Keeps the pipeline alive: whoever awaits a run needs no other handle.
    _pipeline: Arc<dyn Any + Send + Sync>,
}

/// Watches and cancels a run from elsewhere while its [`Run`] is awaited.
#[derive(Clone, Debug)]
pub struct RunWatch {
    run: RunId,
    control: Arc<RunControl>,
    cancel: Recipient<Cancel>,
}

impl<I> Run<I> {
    pub(crate) fn new(
        report: oneshot::Receiver<Report<I>>,
        watch: RunWatch,
        pipeline: Arc<dyn Any + Send + Sync>,
    ) -> Self {
        Self {
            report,
            watch,
            _pipeline: pipeline,
        }
    }

    /// A handle that watches or cancels this run while it is awaited.
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

    /// Stops handing out ids, lets requests in flight finish within [`Config::drain`](crate::Config::drain), and commits what
    /// was fetched. The report still comes.
    pub fn cancel(&self) {
        self.watch.cancel();
    }
}

impl<I> Future for Run<I> {
    type Output = Result<Report<I>, PipelineStopped>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        Pin::new(&mut self.report)
            .poll(cx)
            .map_err(|_| PipelineStopped)
    }
}

impl RunWatch {
    pub(crate) fn new(run: RunId, control: Arc<RunControl>, cancel: Recipient<Cancel>) -> Self {
        Self {
            run,
            control,
            cancel,
        }
    }

    /// The counters at this moment.
    pub fn progress(&self) -> Progress {
        self.control.recorder.progress()
    }

    /// The counters now, after each `every` (at least a millisecond), and at the end of the run, which ends the stream. Poll it
    /// inside an actix System or a tokio runtime with a timer.
    pub fn events(&self, every: Duration) -> impl Stream<Item = Progress> + Send + 'static + use<> {
        let every = every.max(Duration::from_millis(1));
        let first = Some((self.control.clone(), Duration::ZERO));
        stream::unfold(first, move |state| async move {
            let (control, wait) = state?;
            let is_over = tokio::time::timeout(wait, control.ended()).await.is_ok();
            let progress = control.recorder.progress();
            Some((progress, (!is_over).then_some((control, every))))
        })
    }

    /// Whether the run has ended, with a report or with its pipeline.
    pub fn is_over(&self) -> bool {
        self.control.has_ended()
    }

    /// The run's id in [messages](crate::ingest::messages).
    pub fn id(&self) -> RunId {
        self.run
    }

    /// See [`Run::cancel`].
    pub fn cancel(&self) {
        self.cancel.do_send(Cancel(self.run));
    }
}
