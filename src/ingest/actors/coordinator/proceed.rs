//! What the coordinator does when something has changed for a run: hands out ids, of this run or of others, and ends runs that
//! are done.

use actix::{ActorContext, ActorFutureExt, AsyncContext, Context, fut::wrap_future};

use super::{
    Coordinator,
    active_run::{ActiveRun, Turn},
    id_stream::IdStream,
    slots::CannotCopy,
    unread_ids::Next,
};
use crate::ingest::{
    messages::{Fetch, RunId},
    outcome::answer::AttemptsSoFar,
    source::Id,
};

impl<I: Id> Coordinator<I> {
    /// Goes on after something has changed for a run: hands out ids, of this run or of others, and ends the run if it is done.
    pub(super) fn proceed(&mut self, id: RunId, ctx: &mut Context<Self>) {
        self.send_outcomes(id, ctx);
        if let Some(run) = self.runs.get(&id) {
            self.turns.enqueue(id, run.priority());
        }
        loop {
            self.hand_out(ctx);
            self.read_ahead(id, ctx);
            if !self.decide(id, ctx) {
                break;
            }
        }
        let waiting: usize = self.runs.values().map(|run| run.ledger.waiting()).sum();
        self.parts
            .meters
            .set_ids_at_fetchers(self.slots.busy() + waiting);
    }

    /// Hands out ids while fetchers are idle.
    pub(super) fn hand_out(&mut self, ctx: &mut Context<Self>) {
        while !self.is_paused
            && self.slots.has_idle()
            && let Some(id) = self.turns.next(self.slots.limit, |id| {
                self.runs.get(&id).map_or(0, |run| run.busy)
            })
            && let Some(run) = self.runs.get_mut(&id)
        {
            match run.next() {
                Turn::Next(Next::Give(next, so_far)) => self.give(id, next, so_far),
                Turn::Next(Next::Await(ids)) => {
                    // Meanwhile the run may have ids to try again.
                    self.turns.enqueue(id, run.priority());
                    self.await_list(id, ids, ctx);
                }
                Turn::Next(Next::Nothing) => _ = self.decide(id, ctx),
                Turn::ProbeAt(at) => {
                    self.await_probe(id, at, ctx);
                    self.decide(id, ctx);
                }
            }
        }
        self.make_way();
    }

    /// If an id of a higher priority is left without a fetcher, one that only waits to start an attempt gives its own id back.
    fn make_way(&self) {
        if self.runs.len() < 2 || self.is_paused {
            return;
        }
        let lacks_a_fetcher = |(id, run): &(&RunId, &ActiveRun<I>)| {
            self.turns.is_waiting(**id, run.priority())
                && run.ledger.has_ids_at_hand()
                && !run.is_held_back()
                && !run.is_probing()
        };
        let waiting = self.runs.iter().filter(lacks_a_fetcher);
        let Some(highest) = waiting.map(|(_, run)| run.priority()).max() else {
            return;
        };
        let lower = self
            .runs
            .values()
            .filter(|run| run.busy > 0 && run.priority() < highest);
        if let Some(run) = lower.min_by_key(|run| run.priority()) {
            run.ledger.control.give_way.notify_one();
        }
    }

    /// Reads ids of a run ahead while it waits for a fetcher.
    fn read_ahead(&mut self, id: RunId, ctx: &mut Context<Self>) {
        let waiting_max = self.config.mailbox * self.slots.limit;
        if let Some(run) = self.runs.get_mut(&id)
            && !self.is_paused
            && !run.is_held_back()
            && !run.is_probing()
            && self.turns.is_waiting(id, run.priority())
            && let Some(ids) = run.ledger.read_ahead(waiting_max)
        {
            self.await_list(id, ids, ctx);
        }
    }

    /// Gives an id to an idle fetcher. Then it is the turn of the next run.
    fn give(&mut self, id: RunId, next: I, so_far: AttemptsSoFar) {
        let Some(run) = self.runs.get_mut(&id) else {
            return;
        };
        let priority = run.priority();
        self.turns.enqueue(id, priority);
        let fetch = Fetch {
            id: next,
            so_far,
            control: run.ledger.control.clone(),
            backlog: run.backlog.clone(),
        };
        match self.slots.give(id, fetch) {
            Ok(()) => {
                run.busy += 1;
                self.turns.begin_work(priority);
            }
            Err(CannotCopy { id, panic }) => {
                run.save_panicked(
                    id,
                    format!("copying the id panicked: {panic}"),
                    so_far.begun,
                );
            }
        }
    }

    /// Waits for the next id of a run's list.
    fn await_list(&mut self, id: RunId, ids: IdStream<I>, ctx: &mut Context<Self>) {
        let Some(run) = self.runs.get_mut(&id) else {
            return;
        };
        let waiting = wrap_future::<_, Self>(ids.wait());
        let waiting = waiting.map(move |(ids, next), act, ctx| {
            if let Some(run) = act.runs.get_mut(&id) {
                run.ledger.list_is_back(ids, next);
                act.proceed(id, ctx);
            }
        });
        run.ledger.unread.wait(ctx.spawn(waiting));
    }

    /// Tells the host what became of ids. If it has not read the last ones, the run goes on when it has.
    fn send_outcomes(&mut self, id: RunId, ctx: &mut Context<Self>) {
        let Some(run) = self.runs.get_mut(&id) else {
            return;
        };
        if !run.ledger.outcomes.send() && run.reader_wait.is_none() {
            let has_room = wrap_future::<_, Self>(run.ledger.outcomes.has_room());
            run.reader_wait = Some(ctx.spawn(has_room.map(move |(), act, ctx| {
                if let Some(run) = act.runs.get_mut(&id) {
                    run.reader_wait = None;
                }
                act.proceed(id, ctx);
            })));
        }
    }

    /// Decides about kept failures of a run, and ends the run if it is done. Returns whether more ids may be handed out now.
    fn decide(&mut self, id: RunId, ctx: &mut Context<Self>) -> bool {
        let Some(run) = self.runs.get_mut(&id) else {
            return false;
        };
        let priority = run.priority();
        // The answer for an id that waits for a fetcher may show whose fault other failures are. In a pause none waits.
        let waits =
            !self.is_paused && self.turns.is_waiting(id, priority) && run.ledger.has_ids_at_hand();
        let tries_again = run.decide_failures(run.busy == 0 && !waits, &self.parts.storage);
        if tries_again {
            self.turns.enqueue(id, priority);
        }
        let has_closed = self.turns.set_open(id, priority, run.ledger.has_ids());
        if run.is_done(&self.parts.storage) {
            self.finish(id, ctx);
        }
        tries_again || has_closed
    }

    /// Ends a run that is done, and a shutdown with its last run.
    fn finish(&mut self, id: RunId, ctx: &mut Context<Self>) {
        if let Some(mut run) = self.runs.remove(&id) {
            self.turns.remove(id, run.priority());
            run.take_tasks()
                .for_each(|task| _ = ctx.cancel_future(task));
            let totals = run.ledger.finish(self.parts.arbiter.clone());
            self.parts.meters.set_runs_under_way(self.runs.len());
            if let Some(shutdown) = &mut self.shutdown {
                shutdown.report.add_ended(&totals);
            }
        }
        self.finish_shutdown(ctx);
    }

    /// Completes a shutdown if no run is left.
    pub(super) fn finish_shutdown(&mut self, ctx: &mut Context<Self>) {
        if self.runs.is_empty()
            && let Some(shutdown) = self.shutdown.take()
        {
            shutdown.finish();
            ctx.stop();
        }
    }

    /// Changes all runs, and then goes on with each.
    pub(super) fn change_all(
        &mut self,
        ctx: &mut Context<Self>,
        mut change: impl FnMut(&mut ActiveRun<I>, &mut Context<Self>),
    ) {
        self.runs.values_mut().for_each(|run| change(run, ctx));
        let ids: Vec<RunId> = self.runs.keys().copied().collect();
        ids.into_iter().for_each(|id| self.proceed(id, ctx));
    }
}
