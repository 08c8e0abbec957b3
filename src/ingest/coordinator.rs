//! The coordinator: splits a run's ids over the pool of fetchers, passes every answer to Storage, counts it once it is
//! committed, and knows when the run is over.

use std::{collections::VecDeque, sync::Arc, time::Duration};

use actix::{
    Actor, ActorContext, ActorFutureExt, Addr, AsyncContext, Context, Handler, Recipient,
    SpawnHandle, fut::wrap_future,
};
use log::{info, warn};
use tokio::{sync::oneshot, time::Instant};

use super::{
    FailureKind,
    client::Answer,
    control::Control,
    feed::{Feed, Pulled},
    messages::{
        Cancel, Close, Committed, Fetch, Fetched, FetcherGone, Flush, RunId, Save, Start,
        StorageGone,
    },
    report::{FAILURES_LISTED, FailedId, Report},
    source::Id,
    unsaved::Room,
};

const STORAGE_DIED: &str = "the storage actor died";

/// Starts a fetcher for a slot of the pool.
pub(crate) type Hire<I> = Box<dyn FnMut(usize, &Addr<Coordinator<I>>) -> Recipient<Fetch<I>>>;

pub(crate) struct Coordinator<I: Id> {
    hire: Hire<I>,
    slots: Vec<Slot<I>>,
    workers: usize,
    /// Ids that a fetcher may hold: the one in flight and those in its mailbox.
    holds_max: usize,
    drain: Duration,
    save: Recipient<Save<I>>,
    flush: Recipient<Flush>,
    storage_gone: bool,
    current: Option<Current<I>>,
    queue: VecDeque<Start<I>>,
}

/// A fetcher and the ids that it holds, in the order in which it works on them.
struct Slot<I: Id> {
    fetcher: Recipient<Fetch<I>>,
    holds: VecDeque<I>,
}

/// The run under way.
struct Current<I> {
    run: RunId,
    control: Arc<Control>,
    report: oneshot::Sender<Report<I>>,
    began: Instant,
    ids: Ids<I>,
    /// Ids that the list promised by its length and that were not read yet.
    foretold: u64,
    /// Ids that a dead fetcher had not begun.
    again: VecDeque<I>,
    /// Ids that fetchers hold.
    held: usize,
    /// Ids that Storage has and that are not committed.
    unsettled: usize,
    flushed: bool,
    interrupted: bool,
    lost: Option<String>,
    failures: Vec<FailedId<I>>,
}

/// Where the rest of a run's ids is.
enum Ids<I> {
    Here(Feed<I>),
    /// The next id is waited for; the feed comes back with it.
    Awaited(SpawnHandle),
    End,
}

impl<I: Id> Coordinator<I> {
    pub(crate) fn new(
        (workers, mailbox): (usize, usize),
        drain: Duration,
        hire: Hire<I>,
        save: Recipient<Save<I>>,
        flush: Recipient<Flush>,
    ) -> Self {
        Self {
            hire,
            slots: Vec::with_capacity(workers),
            workers,
            holds_max: 1 + mailbox,
            drain,
            save,
            flush,
            storage_gone: false,
            current: None,
            queue: VecDeque::new(),
        }
    }

    fn start_next(&mut self, ctx: &mut Context<Self>) {
        let Some(Start {
            run,
            feed,
            control,
            report,
        }) = self.queue.pop_front()
        else {
            return;
        };
        let foretold = feed.known_rest();
        let control_stopped = control.is_stopping();
        control.counters.requested.add(foretold);
        self.current = Some(Current {
            run,
            control,
            report,
            began: Instant::now(),
            ids: Ids::Here(feed),
            foretold,
            again: VecDeque::new(),
            held: 0,
            unsettled: 0,
            flushed: false,
            interrupted: control_stopped,
            lost: self.storage_gone.then(|| STORAGE_DIED.to_owned()),
            failures: Vec::new(),
        });
        self.go_on(0, ctx);
    }

    /// Gives ids to fetchers as long as there are ids and room, `freed` being one that may have room; then looks whether the run
    /// is over.
    fn go_on(&mut self, freed: usize, ctx: &mut Context<Self>) {
        while let Some(slot) = self.roomiest(freed) {
            let Some(current) = &mut self.current else {
                return;
            };
            let Some(id) = current.next_id(ctx) else {
                break;
            };
            current.held += 1;
            let control = current.control.clone();
            let slot = &mut self.slots[slot];
            slot.holds.push_back(id.clone());
            slot.fetcher.do_send(Fetch { id, control });
        }
        self.finish_if_done(ctx);
    }

    /// The fetcher that holds the fewest ids, unless all are full: no id waits at one while another is idle.
    fn roomiest(&self, freed: usize) -> Option<usize> {
        let held = self.current.as_ref()?.held;
        let room = self.slots.len() * self.holds_max - held;
        let holds = |slot: &Slot<I>| slot.holds.len();
        if room == 0 {
            None
        } else if self
            .slots
            .get(freed)
            .is_some_and(|slot| self.holds_max - holds(slot) == room)
        {
            // All the room there is: with every fetcher busy, this saves a look at each of them for every id.
            Some(freed)
        } else {
            let slots = self.slots.iter().enumerate();
            slots
                .min_by_key(|(_, slot)| holds(slot))
                .map(|(index, _)| index)
        }
    }

    fn finish_if_done(&mut self, ctx: &mut Context<Self>) {
        let Some(current) = &mut self.current else {
            return;
        };
        if current.held > 0 || current.has_ids_to_come() {
            return;
        }
        if current.unsettled > 0 {
            if !current.flushed {
                current.flushed = true;
                self.flush.do_send(Flush);
            }
            return;
        }
        if let Some(current) = self.current.take() {
            current.finish();
        }
        self.start_next(ctx);
    }

    /// An id is no longer at its fetcher: its answer goes to Storage, unless that is no use.
    fn answered(&mut self, id: I, answer: Answer, attempts: u32, room: Option<Room>) {
        let Some(current) = &mut self.current else {
            return;
        };
        current.held -= 1;
        if matches!(answer, Answer::NotAttempted) || current.lost.is_some() {
            current.control.counters.not_attempted.add(1);
            return;
        }
        current.unsettled += 1;
        current.flushed = false;
        let (run, control) = (current.run, current.control.clone());
        self.save.do_send(Save {
            run,
            id,
            answer,
            attempts,
            control,
            room,
        });
    }

    fn arrived(&mut self, feed: Feed<I>, id: Option<I>, ctx: &mut Context<Self>) {
        let Some(current) = &mut self.current else {
            return;
        };
        match id {
            Some(id) => {
                current.count_read();
                current.again.push_back(id);
                current.ids = Ids::Here(feed);
            }
            None => current.ids = Ids::End,
        }
        self.go_on(0, ctx);
    }

    /// Ends the run under way in order, with what was committed and nothing more.
    fn lose_storage(&mut self, why: String) {
        if let Some(current) = &mut self.current {
            current.control.abort();
            current.lost.get_or_insert(why);
            current
                .control
                .counters
                .not_attempted
                .add(current.unsettled as u64);
            current.unsettled = 0;
        }
    }
}

impl<I: Id> Current<I> {
    /// The next id to fetch, if there is one now; else its arrival is arranged.
    fn next_id(&mut self, ctx: &mut Context<Coordinator<I>>) -> Option<I> {
        if self.is_stopping() {
            return None;
        }
        if let Some(id) = self.again.pop_front() {
            return Some(id);
        }
        let Ids::Here(feed) = &mut self.ids else {
            return None;
        };
        match feed.pull() {
            Pulled::Id(id) => {
                self.count_read();
                Some(id)
            }
            Pulled::End => {
                self.ids = Ids::End;
                None
            }
            Pulled::NotYet => {
                if let Ids::Here(feed) = std::mem::replace(&mut self.ids, Ids::End) {
                    let arrival = wrap_future::<_, Coordinator<I>>(feed.wait());
                    let arrival = arrival.map(|(feed, id), act, ctx| act.arrived(feed, id, ctx));
                    self.ids = Ids::Awaited(ctx.spawn(arrival));
                }
                None
            }
        }
    }

    fn count_read(&mut self) {
        match self.foretold {
            0 => self.control.counters.requested.add(1),
            _ => self.foretold -= 1,
        }
    }

    fn interrupt(&mut self, ctx: &mut Context<Coordinator<I>>) {
        self.interrupted = true;
        self.control.stop();
        if let Ids::Awaited(waiting) = std::mem::replace(&mut self.ids, Ids::End) {
            ctx.cancel_future(waiting);
        }
    }

    /// What is committed leaves Storage's account.
    fn count(&mut self, committed: Committed<I>) {
        let Committed {
            stored,
            absent,
            failed,
            refused,
            ..
        } = committed;
        let counters = &self.control.counters;
        counters.stored.add(stored as u64);
        counters.absent.add(absent as u64);
        counters.failed.add(failed.len() as u64);
        counters.not_attempted.add(refused as u64);
        self.unsettled -= stored + absent + failed.len() + refused;
        for (id, failure) in failed {
            info!("{id}: failed: {failure}");
            if self.failures.len() < FAILURES_LISTED {
                self.failures.push(FailedId::new(id, failure));
            }
        }
    }

    /// Whether no id is handed out any more, however many there are.
    fn is_stopping(&self) -> bool {
        self.interrupted || self.lost.is_some()
    }

    fn has_ids_to_come(&self) -> bool {
        !self.is_stopping() && (!self.again.is_empty() || !matches!(self.ids, Ids::End))
    }

    fn finish(self) {
        let unread = self.foretold + self.again.len() as u64;
        self.control.counters.not_attempted.add(unread);
        let report = Report {
            totals: self.control.counters.snapshot(),
            elapsed: self.began.elapsed(),
            interrupted: self.interrupted,
            storage_lost: self.lost,
            failures: self.failures,
        };
        // Nobody has to wait for the report.
        let _ = self.report.send(report);
    }
}

impl<I: Id> Actor for Coordinator<I> {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        let me = ctx.address();
        for slot in 0..self.workers {
            let fetcher = (self.hire)(slot, &me);
            self.slots.push(Slot {
                fetcher,
                holds: VecDeque::with_capacity(self.holds_max),
            });
        }
    }
}

impl<I: Id> Handler<Start<I>> for Coordinator<I> {
    type Result = ();

    fn handle(&mut self, start: Start<I>, ctx: &mut Self::Context) {
        self.queue.push_back(start);
        if self.current.is_none() {
            self.start_next(ctx);
        }
    }
}

impl<I: Id> Handler<Cancel> for Coordinator<I> {
    type Result = ();

    fn handle(&mut self, Cancel(run): Cancel, ctx: &mut Self::Context) {
        let Some(current) = self.current.as_mut().filter(|current| current.run == run) else {
            // Still in the queue: it starts, stopped, when its turn comes.
            if let Some(start) = self.queue.iter().find(|start| start.run == run) {
                start.control.stop();
            }
            return;
        };
        if current.interrupted {
            return;
        }
        current.interrupt(ctx);
        let control = current.control.clone();
        ctx.run_later(self.drain, move |_, _| control.abort());
        self.finish_if_done(ctx);
    }
}

impl<I: Id> Handler<Fetched> for Coordinator<I> {
    type Result = ();

    fn handle(&mut self, fetched: Fetched, ctx: &mut Self::Context) {
        let Fetched {
            slot,
            answer,
            attempts,
            room,
        } = fetched;
        let Some(id) = self.slots[slot].holds.pop_front() else {
            return;
        };
        self.answered(id, answer, attempts, room);
        self.go_on(slot, ctx);
    }
}

impl<I: Id> Handler<FetcherGone> for Coordinator<I> {
    type Result = ();

    /// The id that the fetcher was at is settled as failed, since it may be what killed it; those behind it get another fetcher.
    fn handle(&mut self, FetcherGone { slot }: FetcherGone, ctx: &mut Self::Context) {
        let fetcher = (self.hire)(slot, &ctx.address());
        let gone = std::mem::replace(&mut self.slots[slot].fetcher, fetcher);
        drop(gone);
        let mut held = std::mem::take(&mut self.slots[slot].holds);
        warn!("fetcher {slot} died and was replaced");
        let Some(current) = &mut self.current else {
            return;
        };
        current.control.counters.fetchers_replaced.add(1);
        let first = held.pop_front();
        current.held -= held.len();
        current.again.extend(held);
        if let Some(id) = first {
            let message = "the fetcher died while it worked on this id".to_owned();
            self.answered(id, Answer::Failed(FailureKind::Panic, message), 1, None);
        }
        self.go_on(slot, ctx);
    }
}

impl<I: Id> Handler<Committed<I>> for Coordinator<I> {
    type Result = ();

    fn handle(&mut self, committed: Committed<I>, ctx: &mut Self::Context) {
        let Some(current) = self.current.as_mut().filter(|run| run.run == committed.run) else {
            return;
        };
        let why = committed.lost.clone();
        current.count(committed);
        if let Some(why) = why {
            self.lose_storage(why);
        }
        self.finish_if_done(ctx);
    }
}

impl<I: Id> Handler<StorageGone> for Coordinator<I> {
    type Result = ();

    fn handle(&mut self, _: StorageGone, ctx: &mut Self::Context) {
        self.storage_gone = true;
        self.lose_storage(STORAGE_DIED.to_owned());
        self.finish_if_done(ctx);
    }
}

impl<I: Id> Handler<Close> for Coordinator<I> {
    type Result = ();

    /// The fetchers and Storage stop when their last address goes with this actor.
    fn handle(&mut self, _: Close, ctx: &mut Self::Context) {
        if let Some(current) = &self.current {
            current.control.abort();
        }
        ctx.stop();
    }
}
