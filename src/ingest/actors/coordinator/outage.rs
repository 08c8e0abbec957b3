//! What happens to a run while the API may be out: ids are handed out only as probes, failed ids are kept for later, and the run
//! ends at the outage timeout. Other runs go on.
//!
//! The circuit breaker of the run says whether the API is out. See [`decide_failures`](ActiveRun::decide_failures) for what
//! becomes of ids that failed meanwhile.

use std::time::Duration;

use actix::{ActorFutureExt, AsyncContext, Context, Recipient, fut::wrap_future};
use log::warn;
use tokio::time::Instant;

use super::{Coordinator, active_run::ActiveRun, outage_watch::OutageWatch};
use crate::{
    ingest::{
        limits::breaker::BreakerState,
        messages::{NumberedRow, RunId, ToStorage},
        outcome::report::GaveUp,
        source::Id,
    },
    store::message::in_words,
};

/// When this many failures without a usable answer are kept, ids are handed out only as probes. This bounds the memory that the
/// failures take.
const KEPT_MAX: usize = 1000;

impl<I: Id> Coordinator<I> {
    /// Waits for changes of the run's circuit breaker. They must be noticed at once: while ids are tried again, no message comes
    /// from the fetchers for a long time.
    pub(super) fn watch_breaker(&mut self, id: RunId, ctx: &mut Context<Self>) {
        let Some(run) = self.runs.get_mut(&id) else {
            return;
        };
        let control = run.ledger.control.clone();
        let changed =
            wrap_future::<_, Self>(async move { control.breaker_changed.notified().await });
        let changed = changed.map(move |(), act, ctx| {
            act.follow_breaker(id, ctx);
            act.watch_breaker(id, ctx);
            act.proceed(id, ctx);
        });
        run.breaker_watch = Some(ctx.spawn(changed));
    }

    /// Begins or ends an outage when the breaker's state asks for it.
    fn follow_breaker(&mut self, id: RunId, ctx: &mut Context<Self>) {
        let Some(run) = self.runs.get_mut(&id) else {
            return;
        };
        match run.breaker_state() {
            // Without more ids to hand out there is no outage to wait for: the run ends when the ids at fetchers are settled.
            BreakerState::Open if !run.outage.is_under_way() && run.ledger.expects_more_ids() => {
                let control = &run.ledger.control;
                run.outage.failing_before = Some(control.breaker().failing_for(Instant::now()));
                let timeout = in_words(self.config.outage_patience);
                let error = control.last_error();
                warn!(
                    "the API is out ({error}): ids are kept for later, and one at a time is tried for up to {timeout}"
                );
                drop(error);
                if !self.is_paused {
                    run.start_outage_timer(self.config.outage_patience, ctx);
                }
            }
            BreakerState::Closed | BreakerState::Failing => {
                if run.outage.is_under_way() {
                    warn!("the API answers again");
                }
                Self::cancel_timer(&mut run.outage.timer, ctx);
                Self::cancel_timer(&mut run.outage.probe_timer, ctx);
                run.outage = OutageWatch::default();
            }
            BreakerState::Suspect | BreakerState::Open => {}
        }
    }

    /// Lets the run go on at the time of its next probe.
    pub(super) fn await_probe(&mut self, id: RunId, at: Instant, ctx: &mut Context<Self>) {
        let run = self.runs.get_mut(&id);
        if let Some(run) = run.filter(|run| run.outage.probe_timer.is_none()) {
            let timer = ctx.run_later(at - Instant::now(), move |act, ctx| {
                if let Some(run) = act.runs.get_mut(&id) {
                    run.outage.probe_timer = None;
                }
                act.proceed(id, ctx);
            });
            run.outage.probe_timer = Some(timer);
        }
    }
}

impl<I: Id> ActiveRun<I> {
    /// Starts the timer that ends the run when the outage has lasted for the outage timeout. Time in which no attempt could be
    /// made does not count. The coordinator stops it for a pause.
    pub(super) fn start_outage_timer(
        &mut self,
        outage_timeout: Duration,
        ctx: &mut Context<Coordinator<I>>,
    ) {
        Coordinator::cancel_timer(&mut self.outage.timer, ctx);
        let Some(failing_before) = self.outage.failing_before else {
            return;
        };
        let now = Instant::now();
        let mut breaker = self.ledger.control.breaker();
        let failing_for = breaker.failing_for(now);
        let waited = failing_for.saturating_sub(failing_before);
        let quiet_for = breaker.quiet_for(now);
        drop(breaker);
        match outage_timeout.checked_sub(waited) {
            Some(rest) if !rest.is_zero() => {
                let id = self.ledger.run;
                let timer =
                    ctx.run_later(rest + quiet_for, move |act: &mut Coordinator<I>, ctx| {
                        if let Some(run) = act.runs.get_mut(&id) {
                            run.start_outage_timer(outage_timeout, ctx);
                        }
                        act.proceed(id, ctx);
                    });
                self.outage.timer = Some(timer);
            }
            _ => {
                let last_error = self.ledger.control.last_error().clone();
                self.ledger.give_up(GaveUp::ApiOut {
                    failing_for,
                    last_error,
                });
            }
        }
    }

    fn breaker_state(&self) -> BreakerState {
        self.ledger.control.breaker().state()
    }

    fn is_out(&self) -> bool {
        self.outage.is_under_way() && self.breaker_state() == BreakerState::Open
    }

    /// Whether ids are handed out only as probes: while the API is out, and while it may be out and enough ids have failed.
    pub(super) fn is_probing(&self) -> bool {
        if !self.outage.is_under_way() && !self.ledger.expects_more_ids() {
            return false;
        }
        match self.breaker_state() {
            BreakerState::Closed | BreakerState::Failing => false,
            BreakerState::Suspect => {
                let kept = &self.ledger.kept;
                kept.unanswered.len() >= KEPT_MAX || !kept.deferred.is_empty()
            }
            BreakerState::Open => true,
        }
    }

    /// Keeps a failure without a usable answer. `breaker` is the state after the last attempt of the id.
    pub(super) fn keep_unanswered(&mut self, row: NumberedRow<I>, breaker: BreakerState) {
        let is_out = self.is_out();
        let run = &mut self.ledger;
        let is_left_to_the_next_run = run.is_interrupted && breaker.doubts_api();
        let is_worth_waiting = is_out || is_left_to_the_next_run || run.expects_more_ids();
        if run.has_given_up() || breaker == BreakerState::Closed || !is_worth_waiting {
            run.keep_refused(row);
        } else if is_out && !run.kept.can_defer() {
            run.kept.final_failures.push_back(row.without_permit());
        } else if is_out || is_left_to_the_next_run {
            run.defer(row);
        } else {
            run.kept.keep_unanswered(row, breaker.doubts_api());
        }
    }

    /// Decides who is at fault for the kept failures, as soon as that is known. `is_idle` says that no id of the run is at a
    /// fetcher or about to be. Returns whether ids are to be tried again.
    ///
    /// Of failures without a usable answer:
    /// - The API is at fault if an outage began, or if a long streak of failed attempts ended. These ids are tried again.
    /// - It is not if a short streak ended.
    /// - If nothing is in flight whose end could decide it, the length of the streak decides.
    /// - If no more ids are to be handed out, it is not, because a run does not wait for its last few ids. After a cancel it is
    ///   if the streak was long: these ids are left to the next run.
    ///
    /// If many ids are refused in a row, the run hands out no more ids until Storage has committed all answers, and then ends
    /// unless one of them broke the row.
    pub(super) fn decide_failures(
        &mut self,
        is_idle: bool,
        storage: &Recipient<ToStorage<I>>,
    ) -> bool {
        let is_out = self.is_out();
        let run = &mut self.ledger;
        let mut has_ids_to_try_again = false;
        if !run.kept.unanswered.is_empty() {
            let has_ended = run.control.breaker().state() == BreakerState::Closed;
            let is_long = run.kept.is_streak_long;
            let is_left_to_the_next_run = run.is_interrupted && is_long;
            let is_last = !run.expects_more_ids() && !is_left_to_the_next_run;
            if !is_out && (is_last || ((has_ended || is_idle) && !is_long)) {
                run.kept.rule_out_outage();
            } else if is_out || has_ended || is_idle || is_left_to_the_next_run {
                run.blame_outage();
                has_ids_to_try_again = true;
            }
        }
        let is_refused = run.kept.is_refused_too_often() && !run.has_given_up();
        // Nothing comes soon that could decide about the refused ids. So Storage first writes what it has, which may break their
        // row. Then the run ends if they are too many, and otherwise they are at fault.
        let is_quiet = is_idle && !run.has_ids_at_hand();
        if (is_refused || is_quiet) && run.in_storage > 0 {
            self.flush(storage);
        } else if is_refused {
            if let Some(why) = run.kept.refusals() {
                run.give_up(why);
            }
        } else if is_quiet {
            run.kept.blame_refused_ids();
        }
        self.hand_over_final(storage);
        has_ids_to_try_again
    }
}
