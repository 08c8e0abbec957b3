//! The coordinator: gives the ids of runs to the fetchers, passes their answers to Storage, counts committed ids, and ends the
//! runs.
//!
//! All runs go on side by side. Read `active_run` (one run) with `run_ledger` (where each of its ids is), `unread_ids` and
//! `id_stream` (its list), `kept_failures` (failures that may be the API's fault), `outage` with `outage_watch`, and
//! `outcome_log` (what the host learns of each id). Then `turns` (which run gives the next id), `slots` (which id each fetcher
//! works on), `proceed` (what follows when something has changed), `commands` (the host's messages) and `ongoing_shutdown`. This
//! file has the messages of the other actors.

mod active_run;
mod run_ledger;
mod unread_ids;
pub(crate) mod id_stream;
mod kept_failures;
mod outage_watch;
mod outage;
mod outcome_log;
mod turns;
mod slots;
mod proceed;
mod commands;
mod ongoing_shutdown;

#[cfg(test)]
mod tests;

use std::{collections::BTreeMap, fmt, sync::Arc};

use actix::{Actor, Addr, AsyncContext, Context, Handler, Recipient, SpawnHandle};
use log::warn;

use self::{active_run::ActiveRun, ongoing_shutdown::OngoingShutdown, slots::Slots, turns::Turns};
use crate::ingest::{
    actors::arbiter::PipelineArbiter,
    announcements::waiting_ids::EventFeed,
    config::Config,
    handle::control::RunControl,
    limits::cool_down::SharedCoolDown,
    messages::{Committed, Fetch, Fetched, FetcherGone, RunId, StorageGone, ToStorage},
    outcome::report::GaveUp,
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
    config: Config,
    /// Which id each fetcher works on.
    slots: Slots<I>,
    /// Whether Storage died. Then every run ends at once.
    is_storage_gone: bool,
    /// The runs under way.
    runs: BTreeMap<RunId, ActiveRun<I>>,
    /// Which of them gives the next id.
    turns: Turns,
    /// Whether the host paused the pipeline. Then no id is handed out.
    is_paused: bool,
    /// The shutdown under way.
    shutdown: Option<OngoingShutdown>,
    parts: Parts<I>,
}

/// The other parts of the pipeline, as far as the coordinator needs them. It knows neither the client nor the source.
pub(crate) struct Parts<I: Id> {
    /// Starts the fetchers, and later replaces dead ones.
    pub(crate) start_fetcher: StartFetcher<I>,
    /// Changes the rate of the client, in requests per second; 0 is no limit.
    pub(crate) set_client_rate: Box<dyn Fn(u32)>,
    /// Lets at least this many fetchers have a request of the client in flight.
    pub(crate) allow_client_workers: Box<dyn Fn(usize)>,
    /// Starts a task that reads the source's event stream until the run stops.
    pub(crate) read_events: Box<dyn Fn(EventFeed<I>, Arc<RunControl>)>,
    /// Commits the answers.
    pub(crate) storage: Recipient<ToStorage<I>>,
    /// The cool-down of the client, for the circuit breakers of the runs.
    pub(crate) cool_down: SharedCoolDown,
    /// The pipeline's metrics. Each run's recorder gets them, too.
    pub(crate) meters: Arc<Meters>,
    /// Dropped with the coordinator, which ends the pipeline's own thread, if it has one and no reader of outcomes needs it.
    pub(crate) arbiter: PipelineArbiter,
}

impl<I: Id> Coordinator<I> {
    pub(crate) fn new(config: Config, parts: Parts<I>) -> Self {
        parts.meters.set_workers(config.workers);
        parts.meters.set_rate_limit(config.rate);
        Self {
            config,
            slots: Slots::new(),
            is_storage_gone: false,
            runs: BTreeMap::new(),
            turns: Turns::default(),
            is_paused: false,
            shutdown: None,
            parts,
        }
    }

    /// The fetcher is done with its id, or dead. Returns the id's run, and the copy of the id.
    fn release(&mut self, slot: usize) -> Option<(RunId, I)> {
        let (id, copy) = self.slots.release(slot)?;
        let run = self.runs.get_mut(&id)?;
        run.busy -= 1;
        self.turns.end_work(run.priority());
        Some((id, copy))
    }

    /// Lets the requests in flight of a run that stops go on for the drain time.
    fn limit_drain(&mut self, id: RunId, ctx: &mut Context<Self>) {
        let run = self.runs.get_mut(&id);
        if let Some(run) = run.filter(|run| run.abort_timer.is_none()) {
            let control = run.ledger.control.clone();
            let abort = move |_: &mut Self, _: &mut Context<Self>| control.stop.abort();
            run.abort_timer = Some(ctx.run_later(self.config.drain, abort));
        }
    }

    /// Lets `workers` fetchers work at once, and starts those that are missing.
    fn allow_workers(&mut self, workers: usize, ctx: &mut Context<Self>) {
        let address = ctx.address();
        for slot in self.slots.len()..workers {
            self.slots.add((self.parts.start_fetcher)(slot, &address));
        }
        self.slots.limit = workers;
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
            .field("config", &self.config)
            .field("runs", &self.runs.keys())
            .field("is_paused", &self.is_paused)
            .finish_non_exhaustive()
    }
}

impl<I: Id> Drop for Coordinator<I> {
    /// Drops the requests in flight, because no actor counts their answers any more.
    fn drop(&mut self) {
        for run in self.runs.values() {
            run.ledger.control.stop.abort();
        }
    }
}

impl<I: Id> Actor for Coordinator<I> {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        self.allow_workers(self.config.workers, ctx);
    }
}

impl<I: Id> Handler<Fetched<I>> for Coordinator<I> {
    type Result = ();

    fn handle(&mut self, fetched: Fetched<I>, ctx: &mut Self::Context) {
        if let Some((id, copy)) = self.release(fetched.slot)
            && let Some(run) = self.runs.get_mut(&id)
        {
            run.route(fetched.result, copy, fetched.breaker, &self.parts.storage);
            if run.ledger.is_draining() {
                self.limit_drain(id, ctx);
            }
            self.proceed(id, ctx);
        }
    }
}

impl<I: Id> Handler<FetcherGone> for Coordinator<I> {
    type Result = ();

    /// Replaces the fetcher. The id that it worked on is settled as failed, because that id may have killed the fetcher.
    fn handle(&mut self, FetcherGone { slot }: FetcherGone, ctx: &mut Self::Context) {
        let fetcher = (self.parts.start_fetcher)(slot, &ctx.address());
        self.slots.replace(slot, fetcher);
        warn!("fetcher {slot} died and was replaced");
        if let Some((id, copy)) = self.release(slot)
            && let Some(run) = self.runs.get_mut(&id)
        {
            let recorder = &run.ledger.control.recorder;
            recorder.record(Event::FetcherReplaced, 1);
            let message = "the fetcher died while it worked on this id".to_owned();
            run.save_panicked(copy, message, 1);
            self.proceed(id, ctx);
        }
    }
}

impl<I: Id> Handler<Committed<I>> for Coordinator<I> {
    type Result = ();

    /// If nothing more can be committed, all runs end: they share the database. That a run was stopped while it waited for the
    /// database is no reason for the others to end.
    fn handle(&mut self, mut committed: Committed<I>, ctx: &mut Self::Context) {
        let id = committed.run;
        let lost = committed.lost.take();
        let Some(run) = self.runs.get_mut(&id) else {
            return;
        };
        run.ledger.count_committed(committed);
        if let Some(why) = lost {
            run.ledger.give_up(why.clone());
            if let GaveUp::StorageLost(_) = why {
                return self.change_all(ctx, |run, _| run.ledger.give_up(why.clone()));
            }
        }
        self.proceed(id, ctx);
    }
}

impl<I: Id> Handler<StorageGone> for Coordinator<I> {
    type Result = ();

    fn handle(&mut self, _: StorageGone, ctx: &mut Self::Context) {
        self.is_storage_gone = true;
        self.change_all(ctx, |run, _| run.ledger.lose_storage(storage_died()));
    }
}
