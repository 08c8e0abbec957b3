//! The messages that a host sends to the coordinator: start, cancel, get progress, pause, resume, change a limit, shut down.

use actix::{ActorContext, AsyncContext, Context, Handler, ResponseFuture};
use tokio::{sync::oneshot, time::Instant};

use super::{Coordinator, active_run::ActiveRun, run_ledger::RunLedger, storage_died};
use crate::ingest::{
    backlog::Backlog,
    config::{RATE_MAX, WORKERS_MAX},
    messages::{
        Cancel, GetProgress, HandlesDropped, Pause, PipelineStopped, Resume, SetRate, SetWorkers,
        Shutdown, Start, StartRun,
    },
    outcome::{progress::Progress, report::Report, shutdown_report::ShutdownReport},
    source::Id,
};

impl<I: Id> Coordinator<I> {
    /// The time for a shutdown is over: abandons the runs that have not ended, and stops.
    fn abandon_runs(&mut self, ctx: &mut Context<Self>) {
        let Some(mut shutdown) = self.shutdown.take() else {
            return;
        };
        for ActiveRun { ledger, .. } in self.runs.values() {
            ledger.control.stop.abort();
            let totals = ledger.control.recorder.progress();
            let in_storage = ledger.in_storage as u64;
            shutdown.report.add_abandoned(&totals, in_storage);
        }
        shutdown.finish();
        ctx.stop();
    }
}

impl<I: Id> Handler<StartRun<I>> for Coordinator<I> {
    type Result = ();

    fn handle(&mut self, mut start_run: StartRun<I>, ctx: &mut Self::Context) {
        if self.shutdown.is_some() {
            // This drops the sender of the report, so the caller gets the error `PipelineStopped`.
            return;
        }
        let control = start_run.start.control.clone();
        control.recorder.attach(self.parts.meters.clone());
        let mut breaker = control.breaker();
        breaker.leave_out(self.parts.cool_down.clone());
        if self.is_paused {
            breaker.pause(Instant::now());
        }
        drop(breaker);
        if let Some(feed) = start_run.start.feed.take() {
            (self.parts.read_events)(feed, control.clone());
        }
        let mut ledger = RunLedger::new(start_run, self.config.max_refusals);
        if self.is_storage_gone {
            ledger.give_up(storage_died());
        }
        let id = ledger.run;
        self.turns.set_open(id, control.priority, ledger.has_ids());
        let backlog = Backlog::new(self.config.batch);
        self.runs.insert(id, ActiveRun::new(ledger, backlog));
        self.parts.meters.set_runs_under_way(self.runs.len());
        self.proceed(id, ctx);
        self.watch_breaker(id, ctx);
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
        let run = self.runs.get_mut(&id);
        if let Some(run) = run.filter(|run| !run.ledger.is_interrupted) {
            Self::cancel_timer(&mut run.ledger.interrupt(), ctx);
            self.limit_drain(id, ctx);
            self.proceed(id, ctx);
        }
    }
}

impl<I: Id> Handler<GetProgress> for Coordinator<I> {
    type Result = Option<Progress>;

    fn handle(&mut self, GetProgress(id): GetProgress, _: &mut Self::Context) -> Self::Result {
        let run = self.runs.get(&id)?;
        Some(run.ledger.control.recorder.progress())
    }
}

impl<I: Id> Handler<Pause> for Coordinator<I> {
    type Result = ();

    fn handle(&mut self, _: Pause, ctx: &mut Self::Context) {
        self.is_paused = true;
        for run in self.runs.values_mut() {
            run.ledger.control.breaker().pause(Instant::now());
            Self::cancel_timer(&mut run.outage.timer, ctx);
        }
    }
}

impl<I: Id> Handler<Resume> for Coordinator<I> {
    type Result = ();

    fn handle(&mut self, _: Resume, ctx: &mut Self::Context) {
        self.is_paused = false;
        let patience = self.config.outage_patience;
        self.change_all(ctx, |run, ctx| {
            run.ledger.control.breaker().resume(Instant::now());
            run.start_outage_timer(patience, ctx);
        });
    }
}

impl<I: Id> Handler<SetRate> for Coordinator<I> {
    type Result = ();

    fn handle(&mut self, SetRate(rate): SetRate, _: &mut Self::Context) {
        let rate = rate.min(RATE_MAX);
        (self.parts.set_client_rate)(rate);
        self.parts.meters.set_rate_limit(rate);
    }
}

impl<I: Id> Handler<SetWorkers> for Coordinator<I> {
    type Result = ();

    fn handle(&mut self, SetWorkers(workers): SetWorkers, ctx: &mut Self::Context) {
        let workers = workers.clamp(1, WORKERS_MAX);
        (self.parts.allow_client_workers)(workers);
        self.allow_workers(workers, ctx);
        self.parts.meters.set_workers(workers);
        self.hand_out(ctx);
    }
}

impl<I: Id> Handler<Shutdown> for Coordinator<I> {
    type Result = ResponseFuture<Result<ShutdownReport, PipelineStopped>>;

    fn handle(&mut self, Shutdown { within }: Shutdown, ctx: &mut Self::Context) -> Self::Result {
        let report = self.shutdown.get_or_insert_default().listen();
        let runs = self.runs.values();
        let controls: Vec<_> = runs.map(|run| run.ledger.control.clone()).collect();
        if !controls.is_empty() {
            // The rest of the time is for committing the answers.
            let for_requests = within / 4 * 3;
            ctx.run_later(for_requests, move |_, _| {
                controls.iter().for_each(|control| control.stop.abort());
            });
            ctx.run_later(within, Self::abandon_runs);
        }
        self.change_all(ctx, |run, ctx| {
            Self::cancel_timer(&mut run.ledger.interrupt(), ctx);
        });
        self.finish_shutdown(ctx);
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
