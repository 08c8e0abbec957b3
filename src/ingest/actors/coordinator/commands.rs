//! What the handles order: to start, cancel, pause and resume, to shut down and to close.

use actix::{ActorContext, AsyncContext, Context, Handler, ResponseFuture};
use tokio::sync::oneshot;

use super::{Coordinator, cancel};
use crate::ingest::{
    actors::coordinator::drain::{Draining, ShutdownReport},
    actors::coordinator::run_ledger::Current,
    handle::run::PipelineStopped,
    messages::{Begin, Cancel, Close, Pause, Progressed, Resume, Shutdown, Start},
    outcome::report::Report,
    source::Id,
    stats::recorder::Progress,
};

impl<I: Id> Coordinator<I> {
    /// Ends the run under way: nothing more is handed out, and what is in flight decides when it is over.
    fn interrupt(&mut self, ctx: &mut Context<Self>) {
        let waiting = self.current.as_mut().and_then(Current::interrupt);
        cancel(waiting, ctx);
        self.finish_if_done(ctx);
    }

    /// What a shutdown's bound leaves undone stays undone.
    fn out_of_time(&mut self, ctx: &mut Context<Self>) {
        let Some(mut draining) = self.draining.take() else {
            return;
        };
        let current = self.current.take();
        let left = current
            .iter()
            .map(|current| (&current.control, current.unsettled()));
        let waiting = self.queue.iter().map(|begin| {
            let Start { control, feed, .. } = &begin.start;
            control.counters.requested.add(feed.known_rest());
            (control, 0)
        });
        for (control, in_storage) in left.chain(waiting) {
            control.abort();
            draining.count_left(&control.counters.snapshot(), in_storage);
        }
        draining.finish();
        ctx.stop();
    }
}

impl<I: Id> Handler<Begin<I>> for Coordinator<I> {
    type Result = ();

    fn handle(&mut self, begin: Begin<I>, ctx: &mut Self::Context) {
        if self.draining.is_some() {
            // Dropped, which tells who waits for its report.
            return;
        }
        begin.start.control.counters.meter(self.meters.clone());
        self.queue.push_back(begin);
        self.meters.runs_waiting.set(self.queue.len() as f64);
        if self.current.is_none() {
            self.start_next(ctx);
        }
    }
}

impl<I: Id> Handler<Start<I>> for Coordinator<I> {
    type Result = ResponseFuture<Result<Report<I>, PipelineStopped>>;

    fn handle(&mut self, start: Start<I>, ctx: &mut Self::Context) -> Self::Result {
        let (report, reported) = oneshot::channel();
        self.handle(Begin { start, report }, ctx);
        Box::pin(async { reported.await.map_err(|_| PipelineStopped) })
    }
}

impl<I: Id> Handler<Cancel> for Coordinator<I> {
    type Result = ();

    fn handle(&mut self, Cancel(run): Cancel, ctx: &mut Self::Context) {
        let Some(current) = self.current.as_mut().filter(|current| current.run == run) else {
            // Still in the queue: nothing of it is under way, so it is over at once.
            let waiting = self.queue.iter().position(|begin| begin.start.run == run);
            if let Some(begin) = waiting.and_then(|place| self.queue.remove(place)) {
                begin.start.control.stop();
                self.meters.runs_waiting.set(self.queue.len() as f64);
                Current::new(begin, None).finish();
            }
            return;
        };
        if current.is_interrupted() {
            return;
        }
        let control = current.control.clone();
        ctx.run_later(self.drain, move |_, _| control.abort());
        self.interrupt(ctx);
    }
}

impl<I: Id> Handler<Progressed> for Coordinator<I> {
    type Result = Option<Progress>;

    fn handle(&mut self, Progressed(run): Progressed, _: &mut Self::Context) -> Self::Result {
        let under_way = self
            .current
            .iter()
            .map(|current| (current.run, &current.control));
        let waiting = self
            .queue
            .iter()
            .map(|begin| (begin.start.run, &begin.start.control));
        under_way
            .chain(waiting)
            .find(|(id, _)| *id == run)
            .map(|(_, control)| control.counters.snapshot())
    }
}

impl<I: Id> Handler<Pause> for Coordinator<I> {
    type Result = ();

    fn handle(&mut self, _: Pause, ctx: &mut Self::Context) {
        self.paused = true;
        self.stop_counting_patience(ctx);
    }
}

impl<I: Id> Handler<Resume> for Coordinator<I> {
    type Result = ();

    fn handle(&mut self, _: Resume, ctx: &mut Self::Context) {
        self.paused = false;
        self.count_patience(ctx);
        self.go_on(0, ctx);
    }
}

impl<I: Id> Handler<Shutdown> for Coordinator<I> {
    type Result = ResponseFuture<Result<ShutdownReport, PipelineStopped>>;

    fn handle(&mut self, Shutdown { within }: Shutdown, ctx: &mut Self::Context) -> Self::Result {
        let told = self.draining.get_or_insert_default().listen();
        for begin in &self.queue {
            begin.start.control.stop();
        }
        if let Some(current) = &self.current {
            let control = current.control.clone();
            ctx.run_later(Draining::for_requests(within), move |_, _| control.abort());
            ctx.run_later(within, Self::out_of_time);
            self.interrupt(ctx);
        } else {
            self.start_next(ctx);
        }
        Box::pin(async { told.await.map_err(|_| PipelineStopped) })
    }
}

impl<I: Id> Handler<Close> for Coordinator<I> {
    type Result = ();

    /// The fetchers and Storage stop when their last address goes with this actor.
    fn handle(&mut self, _: Close, ctx: &mut Self::Context) {
        ctx.stop();
    }
}
