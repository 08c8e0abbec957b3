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
use thiserror::Error;
use tokio::sync::oneshot;

use crate::ingest::{
    handle::stop::Control,
    messages::{Cancel, RunId},
    outcome::report::Report,
    stats::recorder::Progress,
};

/// A run under way or waiting for its turn. Await it for its [`Report`]; dropping it does not stop it.
#[must_use = "a run goes on without its handle, but its report is lost"]
pub struct Run<I> {
    report: oneshot::Receiver<Report<I>>,
    watch: RunWatch,
    /// Who awaits a run needs no other handle of its pipeline.
    _pipeline: Arc<dyn Any + Send + Sync>,
}

/// Watches and cancels a run from elsewhere while its [`Run`] is awaited.
#[derive(Clone, Debug)]
pub struct RunWatch {
    run: RunId,
    control: Arc<Control>,
    cancel: Recipient<Cancel>,
}

/// The pipeline's actors ended before the run did. What was committed is committed; nothing else is.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
#[error(
    "the pipeline stopped before the run was over; what was committed is in the database, so run the rest again"
)]
pub struct PipelineStopped;

impl<I> Run<I> {
    pub(crate) fn new(
        run: RunId,
        control: Arc<Control>,
        cancel: Recipient<Cancel>,
        report: oneshot::Receiver<Report<I>>,
        pipeline: Arc<dyn Any + Send + Sync>,
    ) -> Self {
        Self {
            report,
            watch: RunWatch {
                run,
                control,
                cancel,
            },
            _pipeline: pipeline,
        }
    }

    /// A handle to watch or cancel this run with while it is awaited.
    pub fn watch(&self) -> RunWatch {
        self.watch.clone()
    }

    /// The counters at this moment.
    pub fn progress(&self) -> Progress {
        self.watch.progress()
    }

    /// Like [`RunWatch::events`].
    pub fn events(
        &self,
        every: Duration,
    ) -> impl Stream<Item = Progress> + Send + 'static + use<I> {
        self.watch.events(every)
    }

    /// Stops handing out ids, lets requests in flight finish within [`Config::drain`](crate::Config::drain), and commits what
    /// came. The report still comes.
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
    /// The counters at this moment.
    pub fn progress(&self) -> Progress {
        self.control.counters.snapshot()
    }

    /// The counters now, after each `every` (at least a millisecond), and at the end of the run, with which the stream ends. To be
    /// polled inside an actix System or a tokio runtime with a timer.
    pub fn events(&self, every: Duration) -> impl Stream<Item = Progress> + Send + 'static + use<> {
        let every = every.max(Duration::from_millis(1));
        let first = Some((self.control.clone(), Duration::ZERO));
        stream::unfold(first, move |state| async move {
            let (control, wait) = state?;
            let over = tokio::time::timeout(wait, control.ended()).await.is_ok();
            let progress = control.counters.snapshot();
            Some((progress, (!over).then_some((control, every))))
        })
    }

    /// Whether the run has ended, with a report or with its pipeline.
    pub fn is_over(&self) -> bool {
        self.control.has_ended()
    }

    /// Which run this is, to the [messages](crate::ingest::messages).
    pub fn id(&self) -> RunId {
        self.run
    }

    /// See [`Run::cancel`].
    pub fn cancel(&self) {
        self.cancel.do_send(Cancel(self.run));
    }
}
