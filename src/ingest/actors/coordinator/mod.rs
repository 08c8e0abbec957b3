//! The coordinator: gives a run's ids to the fetchers, passes their answers to Storage, counts an id once it is committed, and ends
//! the run.

mod run_ledger;
mod slots;
pub(crate) mod id_stream;
mod commands;
mod outage;
pub(crate) mod drain;

#[cfg(test)]
mod tests;

use std::{
    collections::VecDeque,
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
    run_ledger::{Next, RunLedger},
    slots::{CannotCopy, Slots},
};
use crate::ingest::{
    actors::arbiter::PipelineArbiter,
    backlog::{Backlog, RowPermit},
    config::Config,
    messages::{Committed, Fetch, Fetched, FetcherGone, Flush, Save, StartRun, StorageGone},
    outcome::{answer::Answer, failure::FailureKind},
    source::Id,
    stats::{event::Event, meters::Meters},
};

const STORAGE_DIED: &str = "the storage actor died";

/// Starts a fetcher for a slot.
pub(crate) type StartFetcher<I> =
    Box<dyn FnMut(usize, &Addr<Coordinator<I>>) -> Recipient<Fetch<I>>>;

/// The actor behind a [`Pipeline`](crate::Pipeline). The messages that it takes are in [`messages`](crate::ingest::messages).
pub struct Coordinator<I: Id> {
    /// Fills a slot at the start, and again when its fetcher has died.
    start_fetcher: StartFetcher<I>,
    /// How many fetchers there are.
    workers: usize,
    /// Which ids each fetcher holds.
    slots: Slots<I>,
    /// How long requests in flight may go on after a cancel.
    drain_time: Duration,
    /// How long an API that is out is waited for.
    outage_timeout: Duration,
    storage: StorageRecipients<I>,
    /// For failures that the coordinator itself has written; fetchers take their own permits.
    backlog: Backlog,
    is_storage_gone: bool,
    /// The run under way.
    run: Option<RunLedger<I>>,
    /// The runs that wait for it.
    queue: VecDeque<StartRun<I>>,
    is_paused: bool,
    /// While a shutdown is under way.
    drain: Option<Drain>,
    /// While the API is out.
    outage: Option<Outage>,
    /// Before this time no id is handed out as a probe.
    next_probe: Option<Instant>,
    /// Hands out the next probe.
    probe_timer: Option<SpawnHandle>,
    /// Watches the circuit breaker of the run under way.
    breaker_watch: Option<SpawnHandle>,
    meters: Arc<Meters>,
    /// Dropped with this actor; ends the thread of a pipeline that has one of its own.
    _arbiter: PipelineArbiter,
}

/// The API is out, and the run waits for it.
#[derive(Debug)]
struct Outage {
    /// How long the API had served nothing when the wait began.
    failing_before: Duration,
    /// Ends the run; `None` during a pause.
    timer: Option<SpawnHandle>,
}

/// Where the coordinator reaches Storage.
pub(crate) struct StorageRecipients<I: Id> {
    pub(crate) save: Recipient<Save<I>>,
    pub(crate) flush: Recipient<Flush>,
}

/// What a coordinator is made of, beside its settings.
pub(crate) struct Parts<I: Id> {
    pub(crate) start_fetcher: StartFetcher<I>,
    pub(crate) storage: StorageRecipients<I>,
    pub(crate) backlog: Backlog,
    pub(crate) meters: Meters,
    pub(crate) arbiter: PipelineArbiter,
}

impl<I: Id> Coordinator<I> {
    pub(crate) fn new(config: &Config, parts: Parts<I>) -> Self {
        parts.meters.set_in_flight_limit(config.workers);
        Self {
            start_fetcher: parts.start_fetcher,
            workers: config.workers,
            slots: Slots::new(config.mailbox),
            drain_time: config.drain,
            outage_timeout: config.outage_patience,
            storage: parts.storage,
            backlog: parts.backlog,
            is_storage_gone: false,
            run: None,
            queue: VecDeque::new(),
            is_paused: false,
            drain: None,
            outage: None,
            next_probe: None,
            probe_timer: None,
            breaker_watch: None,
            meters: Arc::new(parts.meters),
            _arbiter: parts.arbiter,
        }
    }

    /// Takes the next run from the queue. Without one, a shutdown is complete.
    fn begin_next(&mut self, ctx: &mut Context<Self>) -> bool {
        let Some(start_run) = self.queue.pop_front() else {
            if let Some(drain) = self.drain.take() {
                drain.finish();
                ctx.stop();
            }
            return false;
        };
        self.meters.set_runs_waiting(self.queue.len());
        let storage_lost = self.is_storage_gone.then(|| STORAGE_DIED.to_owned());
        let run = RunLedger::new(start_run, storage_lost);
        if self.is_paused {
            run.control.breaker().pause(Instant::now());
        }
        self.run = Some(run);
        self.watch_breaker(ctx);
        true
    }

    /// Hands out ids while there is room, and ends the run if it is done. `freed` is a fetcher that may have room.
    fn proceed(&mut self, freed: usize, ctx: &mut Context<Self>) {
        self.hand_out(freed, ctx);
        self.finish_if_done(ctx);
    }

    fn hand_out(&mut self, freed: usize, ctx: &mut Context<Self>) {
        while let Some(slot) = self.slot_for_next_id(freed, ctx) {
            let is_probe = self.is_probing();
            let Some(run) = &mut self.run else { return };
            match run.next(is_probe) {
                Next::Give(id) => self.give(slot, id),
                Next::Await(ids) => {
                    let next = wrap_future::<_, Self>(ids.wait());
                    let arrival =
                        next.map(|(ids, polled), act, ctx| act.list_is_back(ids, polled, ctx));
                    run.await_list(ctx.spawn(arrival));
                }
                Next::Nothing => return,
            }
        }
    }

    /// A fetcher with room, if an id may be handed out now.
    fn slot_for_next_id(&mut self, freed: usize, ctx: &mut Context<Self>) -> Option<usize> {
        if self.is_paused || (self.is_probing() && !self.may_probe(ctx)) {
            return None;
        }
        self.slots.with_most_room(freed)
    }

    fn give(&mut self, slot: usize, id: I) {
        let Some(run) = &self.run else { return };
        let control = run.control.clone();
        if let Err(CannotCopy { id, panic }) = self.slots.give(slot, id, control) {
            self.save_panicked(id, format!("copying the id panicked: {panic}"), 0);
        }
    }

    fn list_is_back(&mut self, ids: IdStream<I>, polled: Polled<I>, ctx: &mut Context<Self>) {
        if let Some(run) = &mut self.run {
            run.list_is_back(ids, polled);
            self.proceed(0, ctx);
        }
    }

    /// An id ended with a panic. Its failure has no share of the backlog yet.
    fn save_panicked(&mut self, id: I, message: String, attempts: u32) {
        if let Some(run) = &mut self.run {
            let failure = Save {
                run: run.run,
                id,
                answer: Answer::Failed(FailureKind::Panic, message),
                attempts,
                received_at: SystemTime::now(),
                control: run.control.clone(),
                permit: RowPermit::default(),
            };
            run.queue_decided(failure);
        }
    }

    /// Passes an answer to Storage, unless it is kept because the API seems to be out.
    fn save(&mut self, fetched: Fetched<I>) {
        let Some(run) = &self.run else { return };
        let Some(answer) = fetched.answer else {
            return run.count_not_attempted(1);
        };
        let save = Save {
            run: run.run,
            id: fetched.id,
            answer,
            attempts: fetched.attempts,
            received_at: fetched.received_at,
            control: run.control.clone(),
            permit: fetched.permit,
        };
        if let Some(save) = self.unless_the_api_is_at_fault(save, fetched.streak) {
            self.hand_over(save);
        }
    }

    fn hand_over(&mut self, save: Save<I>) {
        let Some(run) = &mut self.run else { return };
        if run.has_lost_storage() {
            run.count_not_attempted(1);
        } else {
            run.count_handed_over();
            self.storage.save.do_send(save);
        }
    }

    /// Ends the run if all of it is done, and then those behind it that have nothing to wait for either.
    fn finish_if_done(&mut self, ctx: &mut Context<Self>) {
        while self.is_done() {
            if let Some(run) = self.run.take() {
                let totals = run.finish();
                if let Some(drain) = &mut self.drain {
                    drain.add_ended(&totals);
                }
            }
            self.forget_outage(ctx);
            if !self.begin_next(ctx) {
                return;
            }
            self.hand_out(0, ctx);
        }
    }

    /// Whether every id of the run under way is settled or never will be. Tells Storage not to linger once no more rows are coming.
    fn is_done(&mut self) -> bool {
        self.decide_failures();
        let held = self.slots.held();
        self.meters.set_ids_at_fetchers(held);
        let Some(run) = &mut self.run else {
            return false;
        };
        if held > 0 || run.has_more() {
            return false;
        }
        if run.needs_flush() {
            self.storage.flush.do_send(Flush);
        }
        run.in_storage() == 0
    }

    fn cancel_timer(timer: &mut Option<SpawnHandle>, ctx: &mut Context<Self>) {
        if let Some(timer) = timer.take() {
            ctx.cancel_future(timer);
        }
    }
}

impl<I: Id> Drop for Coordinator<I> {
    /// However this actor ends, its fetchers do not go on for a run that nobody counts.
    fn drop(&mut self) {
        if let Some(run) = &self.run {
            run.control.stop.abort();
        }
    }
}

impl<I: Id> Actor for Coordinator<I> {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        let address = ctx.address();
        for slot in 0..self.workers {
            self.slots.add((self.start_fetcher)(slot, &address));
        }
    }
}

impl<I: Id> Handler<Fetched<I>> for Coordinator<I> {
    type Result = ();

    fn handle(&mut self, fetched: Fetched<I>, ctx: &mut Self::Context) {
        let slot = fetched.slot;
        self.slots.release(slot);
        self.save(fetched);
        self.proceed(slot, ctx);
    }
}

impl<I: Id> Handler<FetcherGone> for Coordinator<I> {
    type Result = ();

    /// The id that the fetcher worked on is settled as failed, since it may be what killed the fetcher. The ids behind it go to
    /// other fetchers.
    fn handle(&mut self, FetcherGone { slot }: FetcherGone, ctx: &mut Self::Context) {
        let fetcher = (self.start_fetcher)(slot, &ctx.address());
        let mut held = self.slots.replace(slot, fetcher);
        warn!("fetcher {slot} died and was replaced");
        let Some(run) = &mut self.run else { return };
        run.control.recorder.record(Event::FetcherReplaced, 1);
        let worked_on = held.pop_front();
        run.take_back(held);
        if let Some(id) = worked_on {
            let message = "the fetcher died while it worked on this id".to_owned();
            self.save_panicked(id, message, 1);
        }
        self.proceed(slot, ctx);
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
            run.lose_storage(why);
        }
        self.finish_if_done(ctx);
    }
}

impl<I: Id> Handler<StorageGone> for Coordinator<I> {
    type Result = ();

    fn handle(&mut self, _: StorageGone, ctx: &mut Self::Context) {
        self.is_storage_gone = true;
        if let Some(run) = &mut self.run {
            run.lose_storage(STORAGE_DIED.to_owned());
        }
        self.finish_if_done(ctx);
    }
}
