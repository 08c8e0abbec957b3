//! The coordinator: splits a run's ids over the pool of fetchers, passes every answer to Storage, counts it once it is
//! committed, and knows when the run is over.

mod commands;
mod demand;
pub(crate) mod drain;
pub(crate) mod id_stream;
mod patience;
pub(crate) mod run_ledger;
pub(crate) mod slots;
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

pub(crate) use self::demand::Demand;
use crate::ingest::{
    actors::coordinator::drain::Draining,
    actors::coordinator::id_stream::{Feed, Pulled},
    actors::coordinator::run_ledger::{Current, Next},
    actors::coordinator::slots::FetcherPool,
    builder::Home,
    config::Config,
    limits::adaptive::Adaptive,
    limits::outage::Outage,
    messages::{Begin, Committed, Fetch, Fetched, FetcherGone, Flush, Save, StorageGone},
    outcome::Answer,
    outcome::FailureKind,
    source::Id,
    stats::metrics::Meters,
};

const STORAGE_DIED: &str = "the storage actor died";

/// Starts a fetcher for a slot of the pool.
pub(crate) type Hire<I> = Box<dyn FnMut(usize, &Addr<Coordinator<I>>) -> Recipient<Fetch<I>>>;

/// Asks how long the API has been down.
pub(crate) type DownFor = Box<dyn Fn() -> Option<Duration>>;

/// The actor behind a [`Pipeline`](crate::Pipeline); what it takes is in [`messages`](crate::ingest::messages).
pub struct Coordinator<I: Id> {
    hire: Hire<I>,
    workers: usize,
    fetchers: FetcherPool<I>,
    drain: Duration,
    /// For how long the API gave nothing but connect errors, timeouts and 5xx.
    down_for: DownFor,
    demand: Demand,
    adaptive: Adaptive,
    adapting: Option<SpawnHandle>,
    outage: Outage,
    outage_patience: Duration,
    looking: Option<SpawnHandle>,
    patience: Option<SpawnHandle>,
    save: Recipient<Save<I>>,
    flush: Recipient<Flush>,
    storage_gone: bool,
    current: Option<Current<I>>,
    queue: VecDeque<Begin<I>>,
    paused: bool,
    draining: Option<Draining>,
    /// Given up with this actor.
    _home: Home,
    meters: Arc<Meters>,
}

impl<I: Id> Coordinator<I> {
    pub(crate) fn new(
        config: &Config,
        hire: Hire<I>,
        (down_for, demand): (DownFor, Demand),
        (save, flush): (Recipient<Save<I>>, Recipient<Flush>),
        home: Home,
        meters: Meters,
    ) -> Self {
        meters.in_flight_limit.set(config.workers as f64);
        Self {
            hire,
            workers: config.workers,
            fetchers: FetcherPool::new(config.mailbox),
            drain: config.drain,
            down_for,
            demand,
            adaptive: Adaptive::new(config.workers),
            adapting: None,
            outage: Outage::default(),
            outage_patience: config.outage_patience,
            looking: None,
            patience: None,
            save,
            flush,
            storage_gone: false,
            current: None,
            queue: VecDeque::new(),
            paused: false,
            draining: None,
            _home: home,
            meters: Arc::new(meters),
        }
    }

    fn start_next(&mut self, ctx: &mut Context<Self>) {
        if self.begin_next(ctx) {
            self.go_on(0, ctx);
        }
    }

    /// Takes the next run from the queue; without one, a shutdown is over.
    fn begin_next(&mut self, ctx: &mut Context<Self>) -> bool {
        let Some(begin) = self.queue.pop_front() else {
            self.stop_adapting(ctx);
            self.stop_looking(ctx);
            if let Some(draining) = self.draining.take() {
                draining.finish();
                ctx.stop();
            }
            return false;
        };
        self.meters.runs_waiting.set(self.queue.len() as f64);
        let lost = self.storage_gone.then(|| STORAGE_DIED.to_owned());
        self.current = Some(Current::new(begin, lost));
        self.outage = Outage::default();
        self.start_adapting(ctx);
        self.start_looking(ctx);
        true
    }

    /// Hands out ids, then looks whether the run is over.
    fn go_on(&mut self, freed: usize, ctx: &mut Context<Self>) {
        self.hand_out(freed, ctx);
        self.finish_if_done(ctx);
    }

    /// Gives ids to fetchers as long as there are ids and room, `freed` being one that may have room.
    fn hand_out(&mut self, freed: usize, ctx: &mut Context<Self>) {
        // In an outage one id at a time is tried.
        while !self.paused && (!self.outage.is_on() || self.fetchers.held() == 0) {
            let Some(slot) = self.fetchers.roomiest(freed) else {
                break;
            };
            let Some(current) = &mut self.current else {
                return;
            };
            match current.next() {
                Next::Give(id) => self.fetchers.give(slot, id, current.control.clone()),
                Next::Await(feed) => {
                    let arrival = wrap_future::<_, Self>(feed.wait());
                    let arrival = arrival.map(|(feed, id), act, ctx| act.arrived(feed, id, ctx));
                    current.awaits(ctx.spawn(arrival));
                    break;
                }
                Next::Nothing => break,
            }
        }
    }

    fn arrived(&mut self, feed: Feed<I>, id: Pulled<I>, ctx: &mut Context<Self>) {
        if let Some(current) = &mut self.current {
            current.arrived(feed, id);
            self.go_on(0, ctx);
        }
    }

    /// An id is no longer at its fetcher: its answer goes to Storage, unless that is no use.
    fn answered(&mut self, id: I, fetched: Fetched) {
        let Fetched {
            answer,
            received_at,
            attempts,
            room,
            ..
        } = fetched;
        let Some(current) = &mut self.current else {
            return;
        };
        if matches!(answer, Answer::NotAttempted) || current.has_lost_storage() {
            current.control.counters.not_attempted.add(1);
            return;
        }
        if self.outage.is_on() && is_the_apis_fault(&answer) {
            current.excuse(id);
            return;
        }
        current.handed_over();
        let (run, control) = (current.run, current.control.clone());
        self.save.do_send(Save {
            run,
            id,
            answer,
            received_at,
            attempts,
            control,
            room,
        });
    }

    /// Ends the run if all of it is done, and those after it that have nothing to wait for either.
    fn finish_if_done(&mut self, ctx: &mut Context<Self>) {
        while self.is_done() {
            if let Some(current) = self.current.take() {
                let totals = current.finish();
                if let Some(draining) = &mut self.draining {
                    draining.count(&totals);
                }
            }
            self.stop_counting_patience(ctx);
            if !self.begin_next(ctx) {
                return;
            }
            self.hand_out(0, ctx);
        }
    }

    /// Whether the run under way is over; Storage is told when nothing more comes.
    fn is_done(&mut self) -> bool {
        self.meters.at_fetchers.set(self.fetchers.held() as f64);
        let Some(current) = &mut self.current else {
            return false;
        };
        if self.fetchers.held() > 0 || current.has_ids_to_come() {
            return false;
        }
        if !current.is_settled() && current.wants_flush() {
            self.flush.do_send(Flush);
        }
        current.is_settled()
    }
}

/// Ends what the coordinator waits for, if it does.
fn cancel<I: Id>(waiting: Option<SpawnHandle>, ctx: &mut Context<Coordinator<I>>) {
    if let Some(waiting) = waiting {
        ctx.cancel_future(waiting);
    }
}

impl<I: Id> Drop for Coordinator<I> {
    /// However this actor ends, its fetchers do not go on for a run that nobody counts.
    fn drop(&mut self) {
        if let Some(current) = &self.current {
            current.control.abort();
        }
    }
}

/// Whether an id failed for no reason of its own while the API was out.
fn is_the_apis_fault(answer: &Answer) -> bool {
    use FailureKind::{Connect, Reset, Status, Timeout};
    matches!(
        answer,
        Answer::Failed(Connect | Reset | Status | Timeout, _)
    )
}

impl<I: Id> Actor for Coordinator<I> {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        let me = ctx.address();
        for slot in 0..self.workers {
            self.fetchers.add((self.hire)(slot, &me));
        }
    }
}

impl<I: Id> Handler<Fetched> for Coordinator<I> {
    type Result = ();

    fn handle(&mut self, fetched: Fetched, ctx: &mut Self::Context) {
        let slot = fetched.slot;
        if let Some(id) = self.fetchers.take_answered(slot) {
            self.look_for_outage(ctx);
            self.answered(id, fetched);
            self.go_on(slot, ctx);
        }
    }
}

impl<I: Id> Handler<FetcherGone> for Coordinator<I> {
    type Result = ();

    /// The id that the fetcher was at is settled as failed, since it may be what killed it; those behind it get another fetcher.
    fn handle(&mut self, FetcherGone { slot }: FetcherGone, ctx: &mut Self::Context) {
        let fetcher = (self.hire)(slot, &ctx.address());
        let mut held = self.fetchers.replace(slot, fetcher);
        warn!("fetcher {slot} died and was replaced");
        let Some(current) = &mut self.current else {
            return;
        };
        current.control.counters.fetchers_replaced.add(1);
        let first = held.pop_front();
        current.again(held);
        if let Some(id) = first {
            let message = "the fetcher died while it worked on this id".to_owned();
            let fetched = Fetched {
                slot,
                answer: Answer::Failed(FailureKind::Panic, message),
                received_at: SystemTime::now(),
                attempts: 1,
                room: None,
            };
            self.answered(id, fetched);
        }
        self.go_on(slot, ctx);
    }
}

impl<I: Id> Handler<Committed<I>> for Coordinator<I> {
    type Result = ();

    fn handle(&mut self, mut committed: Committed<I>, ctx: &mut Self::Context) {
        let Some(current) = self.current.as_mut().filter(|run| run.run == committed.run) else {
            return;
        };
        let lost = committed.lost.take();
        current.count(committed);
        if let Some(why) = lost {
            current.lose_storage(why);
        }
        self.finish_if_done(ctx);
    }
}

impl<I: Id> Handler<StorageGone> for Coordinator<I> {
    type Result = ();

    fn handle(&mut self, _: StorageGone, ctx: &mut Self::Context) {
        self.storage_gone = true;
        if let Some(current) = &mut self.current {
            current.lose_storage(STORAGE_DIED.to_owned());
        }
        self.finish_if_done(ctx);
    }
}
