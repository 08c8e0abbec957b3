//! The coordinator: gives the ids of a run to the fetchers, passes their answers to Storage, counts committed ids, and ends the run.
//!
//! `run_ledger` knows where each id of the run is, and `slots` which ids each fetcher holds. `commands` handles the host's messages,
//! and `outage` decides what happens while the API is out. This file connects them.

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
    limits::cool_down::SharedCoolDown,
    messages::{Committed, Fetch, Fetched, FetcherGone, Flush, Save, StartRun, StorageGone},
    outcome::{answer::Answer, failure::FailureKind},
    source::Id,
    stats::{event::Event, meters::Meters},
};

/// Why a run ended that lost its Storage, for its report.
const STORAGE_DIED: &str = "the storage actor died";

/// Starts a fetcher with this number, which sends its answers to this coordinator.
pub(crate) type StartFetcher<I> =
    Box<dyn FnMut(usize, &Addr<Coordinator<I>>) -> Recipient<Fetch<I>>>;

/// The actor behind a [`Pipeline`](crate::Pipeline). See [`messages`](crate::ingest::messages) for the messages that it handles.
pub struct Coordinator<I: Id> {
    /// Starts the fetchers, and later replaces dead ones.
    start_fetcher: StartFetcher<I>,
    /// How many fetchers there are.
    workers: usize,
    /// Which ids each fetcher holds.
    slots: Slots<I>,
    /// How long requests in flight may go on after a cancel.
    drain_time: Duration,
    /// How long a run waits for an API that is out.
    outage_timeout: Duration,
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
    /// The outage under way.
    outage: Option<Outage>,
    /// No probe is handed out before this time.
    next_probe: Option<Instant>,
    /// The time from the next probe to the one after it.
    probe_wait: Duration,
    /// Hands out the next probe at that time.
    probe_timer: Option<SpawnHandle>,
    /// Waits for changes of the run's circuit breaker.
    breaker_watch: Option<SpawnHandle>,
    /// The pipeline's metrics. Each run's recorder gets them, too.
    meters: Arc<Meters>,
    /// Dropped with this actor, which stops the pipeline's own arbiter, if it has one.
    _arbiter: PipelineArbiter,
}

/// An outage of the API: the run waits until the API works again or the outage timeout is over.
#[derive(Debug)]
struct Outage {
    /// How long all attempts had failed when the wait began.
    failing_before: Duration,
    /// Ends the run at the outage timeout. `None` during a pause.
    timer: Option<SpawnHandle>,
}

/// Storage, as the coordinator sends messages to it.
pub(crate) struct StorageRecipients<I: Id> {
    pub(crate) save: Recipient<Save<I>>,
    pub(crate) flush: Recipient<Flush>,
}

/// What the builder gives to a coordinator, besides the settings.
pub(crate) struct Parts<I: Id> {
    pub(crate) start_fetcher: StartFetcher<I>,
    pub(crate) storage: StorageRecipients<I>,
    pub(crate) backlog: Backlog,
    pub(crate) cool_down: SharedCoolDown,
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
            cool_down: parts.cool_down,
            is_storage_gone: false,
            run: None,
            queue: VecDeque::new(),
            is_paused: false,
            drain: None,
            outage: None,
            next_probe: None,
            probe_wait: outage::PROBE_WAIT_MIN,
            probe_timer: None,
            breaker_watch: None,
            meters: Arc::new(parts.meters),
            _arbiter: parts.arbiter,
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
        let storage_lost = self.is_storage_gone.then(|| STORAGE_DIED.to_owned());
        let run = RunLedger::new(start_run, storage_lost);
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

    /// Hands out ids while fetchers have room, and ends the run if it is done. `freed` is a fetcher that may have room.
    fn proceed(&mut self, freed: usize, ctx: &mut Context<Self>) {
        self.hand_out(freed, ctx);
        self.finish_if_done(ctx);
    }

    /// Hands out ids while fetchers have room. `freed` is a fetcher that may have room.
    fn hand_out(&mut self, freed: usize, ctx: &mut Context<Self>) {
        while let Some(slot) = self.slot_for_next_id(freed, ctx) {
            let Some(run) = &mut self.run else { return };
            match run.next() {
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

    /// A fetcher with room; `None` if no id may be handed out now.
    fn slot_for_next_id(&mut self, freed: usize, ctx: &mut Context<Self>) -> Option<usize> {
        if self.is_paused || (self.is_probing() && !self.may_probe(ctx)) {
            return None;
        }
        self.slots.with_most_room(freed)
    }

    /// Gives an id to a fetcher.
    fn give(&mut self, slot: usize, id: I) {
        let Some(run) = &self.run else { return };
        let control = run.control.clone();
        if let Err(CannotCopy { id, panic }) = self.slots.give(slot, id, control) {
            self.save_panicked(id, format!("copying the id panicked: {panic}"), 0);
        }
    }

    /// The wait for the list's next id is over.
    fn list_is_back(&mut self, ids: IdStream<I>, polled: Polled<I>, ctx: &mut Context<Self>) {
        if let Some(run) = &mut self.run {
            run.list_is_back(ids, polled);
            self.proceed(0, ctx);
        }
    }

    /// An id ended with a panic. Its failure waits in the ledger until the backlog has room for it.
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

    /// Passes an answer to Storage, or keeps it because the API may be out.
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

    /// Passes an answer to Storage.
    fn hand_over(&mut self, save: Save<I>) {
        let Some(run) = &mut self.run else { return };
        if run.has_lost_storage() {
            run.count_not_attempted(1);
        } else {
            run.count_handed_over();
            self.storage.save.do_send(save);
        }
    }

    /// Ends the run if it is done. Then begins the next run, and ends that one, too, if it is done already.
    fn finish_if_done(&mut self, ctx: &mut Context<Self>) {
        loop {
            while self.decide_failures() {
                self.hand_out(0, ctx);
            }
            if !self.is_done() {
                return;
            }
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

    /// Whether every id of the run under way is settled or never will be. Sends `Flush` to Storage when no more rows are coming.
    fn is_done(&mut self) -> bool {
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

    /// Replaces the fetcher. The id that it worked on is settled as failed, because that id may have killed the fetcher. The other
    /// ids that it held are handed out again.
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
