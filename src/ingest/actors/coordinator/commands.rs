//! The messages that a host sends to the coordinator: start, cancel, get progress, pause, resume, change a limit, shut down.

use actix::{ActorContext, AsyncContext, Context, Handler, ResponseFuture};
use tokio::{sync::oneshot, time::Instant};

use super::{Coordinator, drain::Drain, run_ledger::RunLedger};
use crate::ingest::{
    config::{RATE_MAX, WORKERS_MAX},
    messages::{
        Cancel, GetProgress, HandlesDropped, Pause, PipelineStopped, Resume, SetRate, SetWorkers,
        Shutdown, Start, StartRun,
    },
    outcome::{progress::Progress, report::Report, shutdown_report::ShutdownReport},
    source::Id,
    stats::event::Event,
};

impl<I: Id> Coordinator<I> {
    /// Hands out no more ids of the run under way. The run ends when its requests in flight are settled.
    fn interrupt(&mut self, ctx: &mut Context<Self>) {
        let mut waiting = self.run.as_mut().and_then(RunLedger::interrupt);
        Self::cancel_timer(&mut waiting, ctx);
        self.finish_if_done(ctx);
    }

    /// The time for a shutdown is over: abandons the runs that have not ended, and stops.
    fn abandon_runs(&mut self, ctx: &mut Context<Self>) {
        let Some(mut drain) = self.drain.take() else {
            return;
        };
        if let Some(run) = self.run.take() {
            run.control.stop.abort();
            drain.add_abandoned(&run.control.recorder.progress(), run.in_storage());
        }
        for StartRun { start, .. } in &self.queue {
            let recorder = &start.control.recorder;
            recorder.record(Event::Requested, start.ids.remaining().unwrap_or(0));
            start.control.stop.abort();
            drain.add_abandoned(&recorder.progress(), 0);
        }
        drain.finish();
        ctx.stop();
    }
}

impl<I: Id> Handler<StartRun<I>> for Coordinator<I> {
    type Result = ();

    fn handle(&mut self, start_run: StartRun<I>, ctx: &mut Self::Context) {
        if self.drain.is_some() {
            // This drops the sender of the report, so the caller gets the error `PipelineStopped`.
            return;
        }
        start_run.start.control.recorder.attach(self.meters.clone());
        self.queue.push_back(start_run);
        self.meters.set_runs_waiting(self.queue.len());
        if self.run.is_none() && self.begin_next(ctx) {
            self.proceed(ctx);
        }
    }
}

impl<I: Id> Handler<Start<I>> for Coordinator<I> {
    type Result = ResponseFuture<Result<Report<I>, PipelineStopped>>;

    fn handle(&mut self, start: Start<I>, ctx: &mut Self::Context) -> Self::Result {
        let (report, reported) = oneshot::channel();
        self.handle(StartRun { start, report }, ctx);
        Box::pin(async { reported.await.map_err(|_| PipelineStopped) })
    }
}

impl<I: Id> Handler<Cancel> for Coordinator<I> {
    type Result = ();

    fn handle(&mut self, Cancel(id): Cancel, ctx: &mut Self::Context) {
        let Some(run) = self.run.as_mut().filter(|run| run.run == id) else {
            // A run in the queue has no requests in flight, so it ends at once.
            let queued = self.queue.iter().position(|queued| queued.start.run == id);
            if let Some(queued) = queued.and_then(|index| self.queue.remove(index)) {
                queued.start.control.stop.stop();
                self.meters.set_runs_waiting(self.queue.len());
                let totals = RunLedger::new(queued, self.max_refusals).finish(self.arbiter.clone());
                if let Some(drain) = &mut self.drain {
                    drain.add_ended(&totals);
                }
            }
            return;
        };
        if run.is_interrupted() {
            return;
        }
        let control = run.control.clone();
        let abort = ctx.run_later(self.drain_time, move |act, _| {
            act.abort_timer = None;
            control.stop.abort();
        });
        self.abort_timer = Some(abort);
        self.interrupt(ctx);
    }
}

impl<I: Id> Handler<GetProgress> for Coordinator<I> {
    type Result = Option<Progress>;

    fn handle(&mut self, GetProgress(id): GetProgress, _: &mut Self::Context) -> Self::Result {
        let under_way = self.run.iter().map(|run| (run.run, &run.control));
        let queued = self
            .queue
            .iter()
            .map(|queued| (queued.start.run, &queued.start.control));
        under_way
            .chain(queued)
            .find(|(run, _)| *run == id)
            .map(|(_, control)| control.recorder.progress())
    }
}

impl<I: Id> Handler<Pause> for Coordinator<I> {
    type Result = ();

    fn handle(&mut self, _: Pause, ctx: &mut Self::Context) {
        self.is_paused = true;
        if let Some(run) = &self.run {
            run.control.breaker().pause(Instant::now());
        }
        self.stop_outage_timer(ctx);
    }
}

impl<I: Id> Handler<Resume> for Coordinator<I> {
    type Result = ();

    fn handle(&mut self, _: Resume, ctx: &mut Self::Context) {
        self.is_paused = false;
        if let Some(run) = &self.run {
            run.control.breaker().resume(Instant::now());
        }
        self.start_outage_timer(ctx);
        self.proceed(ctx);
    }
}

impl<I: Id> Handler<SetRate> for Coordinator<I> {
    type Result = ();

    fn handle(&mut self, SetRate(rate): SetRate, _: &mut Self::Context) {
        let rate = rate.min(RATE_MAX);
        (self.client_limits.set_rate)(rate);
        self.meters.set_rate_limit(rate);
    }
}

impl<I: Id> Handler<SetWorkers> for Coordinator<I> {
    type Result = ();

    fn handle(&mut self, SetWorkers(workers): SetWorkers, ctx: &mut Self::Context) {
        let workers = workers.clamp(1, WORKERS_MAX);
        (self.client_limits.allow_workers)(workers);
        self.allow_workers(workers, ctx);
        self.meters.set_workers(workers);
        self.meters.set_in_flight_limit(workers);
        self.proceed(ctx);
    }
}

impl<I: Id> Handler<Shutdown> for Coordinator<I> {
    type Result = ResponseFuture<Result<ShutdownReport, PipelineStopped>>;

    fn handle(&mut self, Shutdown { within }: Shutdown, ctx: &mut Self::Context) -> Self::Result {
        let report = self.drain.get_or_insert_default().listen();
        for queued in &self.queue {
            queued.start.control.stop.stop();
        }
        if let Some(run) = &self.run {
            let control = run.control.clone();
            let for_requests = Drain::time_for_requests(within);
            ctx.run_later(for_requests, move |_, _| control.stop.abort());
            ctx.run_later(within, Self::abandon_runs);
            self.interrupt(ctx);
        } else {
            // No run is under way, so the shutdown is complete.
            self.begin_next(ctx);
        }
        Box::pin(async { report.await.map_err(|_| PipelineStopped) })
    }
}

impl<I: Id> Handler<HandlesDropped> for Coordinator<I> {
    type Result = ();

    /// The fetchers and Storage stop when their last address is dropped together with this actor.
    fn handle(&mut self, _: HandlesDropped, ctx: &mut Self::Context) {
        ctx.stop();
    }
}
