//! The coordinator: gives the ids of a run to the fetchers, passes their answers to Storage, counts committed ids, and ends the run.
//!
//! Read `run_ledger` (where each id is) with `kept_failures` (failures that may be the API's fault) and `outcome_log` (what the host
//! learns of each id), `slots` (which id each fetcher works on), `id_stream`, `commands` (the host's messages), `outage` with
//! `outage_watch`, and `drain` (a shutdown). This file connects them.

mod run_ledger;
mod kept_failures;
mod outcome_log;
mod slots;
pub(crate) mod id_stream;
mod commands;
mod outage_watch;
mod outage;
pub(crate) mod drain;

#[cfg(test)]
mod tests;

use std::{
    collections::VecDeque,
    fmt,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
    time::{Duration, SystemTime},
};

use actix::{
    Actor, ActorContext, ActorFutureExt, Addr, AsyncContext, Context, Handler, Recipient,
    SpawnHandle, fut::wrap_future,
};
use log::warn;
use tokio::time::Instant;

use self::{
    drain::Drain,
    id_stream::{IdStream, Polled},
    outage_watch::OutageWatch,
    run_ledger::{Next, RunLedger},
    slots::{CannotCopy, Slots},
};
use crate::ingest::{
    actors::arbiter::PipelineArbiter,
    backlog::{Backlog, RowPermit},
    config::Config,
    limits::{breaker::StreakLength, cool_down::SharedCoolDown, signal::Blame},
    messages::{
        Committed, Fetch, Fetched, FetcherGone, Flush, NumberedRow, RunId, Save, StartRun,
        StorageGone,
    },
    outcome::{
        answer::{Answer, AnsweredId, NotAnswered},
        report::GaveUp,
    },
    source::Id,
    stats::{event::Event, meters::Meters},
};

/// Why a run ended that lost its Storage, for its report.
fn storage_died() -> GaveUp {
    GaveUp::StorageLost("the storage actor died".to_owned())
}

/// Starts a fetcher with this number, which sends its answers to this coordinator.
pub(crate) type StartFetcher<I> =
    Box<dyn FnMut(usize, &Addr<Coordinator<I>>) -> Recipient<Fetch<I>>>;

/// The actor behind a [`Pipeline`](crate::Pipeline). See [`messages`](crate::ingest::messages) for the messages that it handles.
pub struct Coordinator<I: Id> {
    /// Starts the fetchers, and later replaces dead ones.
    start_fetcher: StartFetcher<I>,
    /// How many fetchers there are when the actor starts.
    workers: usize,
    /// Changes limits of the client.
    client_limits: ClientLimits,
    /// Which id each fetcher works on.
    slots: Slots<I>,
    /// How many ids are read ahead for each fetcher while all are busy. They wait in one queue, so that none waits behind a slow id
    /// while a fetcher is idle.
    mailbox: usize,
    /// How long requests in flight may go on after a cancel.
    drain_time: Duration,
    /// How long a run waits for an API that is out.
    outage_timeout: Duration,
    /// A run ends when the API refuses this number of ids in a row.
    max_refusals: usize,
    storage: StorageRecipients<I>,
    /// Has room for failures that the coordinator keeps before it passes them to Storage. For answers, fetchers take the permits.
    backlog: Backlog,
    /// The cool-down of the client, for the circuit breakers of the runs.
    cool_down: SharedCoolDown,
    /// Whether Storage died. Then every run ends at once.
    is_storage_gone: bool,
    /// The run under way.
    run: Option<RunLedger<I>>,
    /// The runs that wait until it ends, first come, first served.
    queue: VecDeque<StartRun<I>>,
    /// Whether the host paused the pipeline. Then no id is handed out.
    is_paused: bool,
    /// The shutdown under way.
    drain: Option<Drain>,
    /// The outage of the API under way, if there is one.
    outage: OutageWatch,
    /// Waits for changes of the run's circuit breaker.
    breaker_watch: Option<SpawnHandle>,
    /// Waits until the host has read what became of ids.
    reader_wait: Option<SpawnHandle>,
    /// Drops the requests in flight at the end of the drain of a cancelled run.
    abort_timer: Option<SpawnHandle>,
    /// The pipeline's metrics. Each run's recorder gets them, too.
    meters: Arc<Meters>,
    /// Dropped with this actor, which ends the pipeline's own thread, if it has one and no reader of outcomes needs it.
    arbiter: PipelineArbiter,
}

/// Changes limits of the client, which the coordinator does not know.
pub(crate) struct ClientLimits {
    /// Changes the rate, in requests per second; 0 is no limit.
    pub(crate) set_rate: Box<dyn Fn(u32)>,
    /// Lets at least this many fetchers have a request in flight.
    pub(crate) allow_workers: Box<dyn Fn(usize)>,
}

/// Storage, as the coordinator sends messages to it.
pub(crate) struct StorageRecipients<I: Id> {
    pub(crate) save: Recipient<Save<I>>,
    pub(crate) flush: Recipient<Flush>,
}

/// What the builder gives to a coordinator, besides the settings.
pub(crate) struct Parts<I: Id> {
    pub(crate) start_fetcher: StartFetcher<I>,
    pub(crate) client_limits: ClientLimits,
    pub(crate) storage: StorageRecipients<I>,
    pub(crate) backlog: Backlog,
    pub(crate) cool_down: SharedCoolDown,
    pub(crate) meters: Meters,
    pub(crate) arbiter: PipelineArbiter,
}

impl<I: Id> Coordinator<I> {
    pub(crate) fn new(config: &Config, parts: Parts<I>) -> Self {
        parts.meters.set_in_flight_limit(config.workers);
        parts.meters.set_workers(config.workers);
        parts.meters.set_rate_limit(config.rate);
        Self {
            start_fetcher: parts.start_fetcher,
            workers: config.workers,
            client_limits: parts.client_limits,
            slots: Slots::new(),
            mailbox: config.mailbox,
            drain_time: config.drain,
            outage_timeout: config.outage_patience,
            max_refusals: config.max_refusals,
            storage: parts.storage,
            backlog: parts.backlog,
            cool_down: parts.cool_down,
            is_storage_gone: false,
            run: None,
            queue: VecDeque::new(),
            is_paused: false,
            drain: None,
            outage: OutageWatch::default(),
            breaker_watch: None,
            reader_wait: None,
            abort_timer: None,
            meters: Arc::new(parts.meters),
            arbiter: parts.arbiter,
        }
    }

    /// Begins the next run of the queue. If there is none, completes a shutdown that is under way. Returns whether a run began.
    fn begin_next(&mut self, ctx: &mut Context<Self>) -> bool {
        let Some(start_run) = self.queue.pop_front() else {
            if let Some(drain) = self.drain.take() {
                drain.finish();
                ctx.stop();
            }
            return false;
        };
        self.meters.set_runs_waiting(self.queue.len());
        let mut run = RunLedger::new(start_run, self.max_refusals);
        if self.is_storage_gone {
            run.give_up(storage_died());
        }
        let mut breaker = run.control.breaker();
        breaker.leave_out(self.cool_down.clone());
        if self.is_paused {
            breaker.pause(Instant::now());
        }
        drop(breaker);
        self.run = Some(run);
        self.watch_breaker(ctx);
        true
    }

    /// Hands out ids while fetchers are idle, and ends the run if it is done.
    fn proceed(&mut self, ctx: &mut Context<Self>) {
        self.hand_out(ctx);
        self.finish_if_done(ctx);
    }

    /// Hands out ids while fetchers are idle. When all are busy, reads ids ahead.
    fn hand_out(&mut self, ctx: &mut Context<Self>) {
        while self.may_hand_out(ctx) {
            let Some(run) = &mut self.run else { return };
            let next = if self.slots.has_idle() {
                run.next()
            } else {
                run.read_ahead(self.mailbox * self.slots.limit())
            };
            match next {
                Next::Give(id) => self.give(id),
                Next::Await(ids) => {
                    let next = wrap_future::<_, Self>(ids.wait());
                    let id = run.run;
                    let arrival = next
                        .map(move |(ids, polled), act, ctx| act.list_is_back(id, ids, polled, ctx));
                    run.await_list(ctx.spawn(arrival));
                }
                Next::Nothing => return,
            }
        }
    }

    /// Whether an id may be handed out now if a fetcher is idle.
    fn may_hand_out(&mut self, ctx: &mut Context<Self>) -> bool {
        let Some(run) = &mut self.run else {
            return false;
        };
        if !run.outcomes.send() {
            self.await_reader(ctx);
            return false;
        }
        if self.is_paused || run.kept.is_refused_too_often() {
            return false;
        }
        !self.is_probing() || self.may_probe(ctx)
    }

    /// Goes on when the host has read what became of the last ids.
    fn await_reader(&mut self, ctx: &mut Context<Self>) {
        if let Some(run) = self.run.as_ref().filter(|_| self.reader_wait.is_none()) {
            let has_room = wrap_future::<_, Self>(run.outcomes.has_room());
            self.reader_wait = Some(ctx.spawn(has_room.map(|(), act, ctx| {
                act.reader_wait = None;
                act.proceed(ctx);
            })));
        }
    }

    /// Gives an id to an idle fetcher.
    fn give(&mut self, id: I) {
        let Some(run) = &self.run else { return };
        let control = run.control.clone();
        if let Err(CannotCopy { id, panic }) = self.slots.give(id, control) {
            self.save_panicked(id, format!("copying the id panicked: {panic}"), 0);
        }
    }

    /// The wait for the list's next id is over.
    fn list_is_back(
        &mut self,
        run: RunId,
        ids: IdStream<I>,
        polled: Polled<I>,
        ctx: &mut Context<Self>,
    ) {
        if let Some(run) = self.run.as_mut().filter(|current| current.run == run) {
            run.list_is_back(ids, polled);
            self.proceed(ctx);
        }
    }

    /// An id ended with a panic. Its failure waits in the ledger until the backlog has room for it.
    fn save_panicked(&mut self, id: I, message: String, attempts: u32) {
        if let Some(run) = &mut self.run {
            let copy = catch_unwind(AssertUnwindSafe(|| id.clone())).ok();
            let failure = AnsweredId {
                id,
                answer: Answer::panicked(message),
                attempts,
                received_at: SystemTime::now(),
                permit: RowPermit::default(),
            };
            let row = run.number(failure, copy);
            run.kept.queue_decided(row);
        }
    }

    /// Passes an answer to Storage, or keeps it because the API may be at fault.
    fn settle(
        &mut self,
        result: Result<AnsweredId<I>, NotAnswered>,
        copy: Option<I>,
        streak: StreakLength,
    ) {
        let Some(run) = &mut self.run else { return };
        let row = match result {
            Ok(answered) => run.number(answered, copy),
            Err(why) => {
                run.count_unanswered(copy);
                if let NotAnswered::AskedToWait(asked) = why {
                    run.give_up(GaveUp::ApiAsksToWait { wait: asked.rest });
                }
                return;
            }
        };
        match row.answered.answer {
            Answer::Failed {
                blame: Blame::Outage,
                ..
            } => self.keep_out(row, streak),
            Answer::Failed {
                blame: Blame::Refusal,
                ..
            } => run.keep_refused(row),
            _ => self.hand_over(row),
        }
    }

    /// Passes an answer to Storage.
    fn hand_over(&mut self, row: NumberedRow<I>) {
        let Some(run) = &mut self.run else { return };
        if run.has_lost_storage() {
            run.count_not_attempted(1);
        } else {
            run.count_handed_over();
            self.storage.save.do_send(Save {
                run: run.run,
                control: run.control.clone(),
                row,
            });
        }
    }

    /// Lets Storage write the waiting rows without lingering.
    fn flush(&mut self) {
        if self.run.as_mut().is_some_and(RunLedger::needs_flush) {
            self.storage.flush.do_send(Flush);
        }
    }

    /// Ends the run if it is done. Then begins the next run, and ends that one, too, if it is done already.
    fn finish_if_done(&mut self, ctx: &mut Context<Self>) {
        loop {
            while self.decide_failures() {
                self.hand_out(ctx);
            }
            if !self.is_done() {
                return;
            }
            Self::cancel_timer(&mut self.reader_wait, ctx);
            Self::cancel_timer(&mut self.abort_timer, ctx);
            if let Some(mut run) = self.run.take() {
                Self::cancel_timer(&mut run.stop_awaiting_list(), ctx);
                let totals = run.finish(self.arbiter.clone());
                if let Some(drain) = &mut self.drain {
                    drain.add_ended(&totals);
                }
            }
            self.forget_outage(ctx);
            if !self.begin_next(ctx) {
                return;
            }
            self.hand_out(ctx);
        }
    }

    /// Whether every id of the run under way is settled or never will be. Sends `Flush` to Storage when no more rows are coming.
    fn is_done(&mut self) -> bool {
        let busy = self.slots.busy();
        let waiting = self.run.as_ref().map_or(0, RunLedger::waiting);
        self.meters.set_ids_at_fetchers(busy + waiting);
        if busy > 0 || self.run.as_ref().is_none_or(RunLedger::has_ids) {
            return false;
        }
        self.flush();
        let run = self.run.as_ref();
        run.is_some_and(|run| run.in_storage() == 0 && !run.kept.has_failures())
    }

    /// Lets `workers` fetchers work at once, and starts those that are missing.
    fn allow_workers(&mut self, workers: usize, ctx: &mut Context<Self>) {
        let address = ctx.address();
        for slot in self.slots.len()..workers {
            self.slots.add((self.start_fetcher)(slot, &address));
        }
        self.slots.set_limit(workers);
    }

    fn cancel_timer(timer: &mut Option<SpawnHandle>, ctx: &mut Context<Self>) {
        if let Some(timer) = timer.take() {
            ctx.cancel_future(timer);
        }
    }
}

impl<I: Id> fmt::Debug for Coordinator<I> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Coordinator")
            .field("workers", &self.workers)
            .field("runs_waiting", &self.queue.len())
            .field("is_paused", &self.is_paused)
            .finish_non_exhaustive()
    }
}

impl<I: Id> Drop for Coordinator<I> {
    /// Drops the requests in flight, because no actor counts their answers any more.
    fn drop(&mut self) {
        if let Some(run) = &self.run {
            run.control.stop.abort();
        }
    }
}

impl<I: Id> Actor for Coordinator<I> {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        self.allow_workers(self.workers, ctx);
    }
}

impl<I: Id> Handler<Fetched<I>> for Coordinator<I> {
    type Result = ();

    fn handle(&mut self, fetched: Fetched<I>, ctx: &mut Self::Context) {
        let Fetched {
            slot,
            result,
            streak,
        } = fetched;
        let copy = self.slots.release(slot);
        self.settle(result, copy, streak);
        self.proceed(ctx);
    }
}

impl<I: Id> Handler<FetcherGone> for Coordinator<I> {
    type Result = ();

    /// Replaces the fetcher. The id that it worked on is settled as failed, because that id may have killed the fetcher.
    fn handle(&mut self, FetcherGone { slot }: FetcherGone, ctx: &mut Self::Context) {
        let fetcher = (self.start_fetcher)(slot, &ctx.address());
        let worked_on = self.slots.replace(slot, fetcher);
        warn!("fetcher {slot} died and was replaced");
        let Some(run) = &mut self.run else { return };
        run.control.recorder.record(Event::FetcherReplaced, 1);
        if let Some(id) = worked_on {
            let message = "the fetcher died while it worked on this id".to_owned();
            self.save_panicked(id, message, 1);
        }
        self.proceed(ctx);
    }
}

impl<I: Id> Handler<Committed<I>> for Coordinator<I> {
    type Result = ();

    fn handle(&mut self, mut committed: Committed<I>, ctx: &mut Self::Context) {
        let Some(run) = self.run.as_mut().filter(|run| run.run == committed.run) else {
            return;
        };
        let lost = committed.lost.take();
        run.count_committed(committed);
        if let Some(why) = lost {
            run.give_up(GaveUp::StorageLost(why));
        }
        self.proceed(ctx);
    }
}

impl<I: Id> Handler<StorageGone> for Coordinator<I> {
    type Result = ();

    fn handle(&mut self, _: StorageGone, ctx: &mut Self::Context) {
        self.is_storage_gone = true;
        if let Some(run) = &mut self.run {
            run.give_up(storage_died());
        }
        self.finish_if_done(ctx);
    }
}
