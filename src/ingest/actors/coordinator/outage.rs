//! What the coordinator does while the API may be out: hands out ids only as probes, keeps failed ids for later, and ends the run at
//! the outage timeout.
//!
//! The circuit breaker of the run says whether the API is out. See [`decide_failures`](Coordinator::decide_failures) for what becomes
//! of ids that failed meanwhile.

use actix::{ActorFutureExt, AsyncContext, Context, WrapFuture};
use log::warn;
use tokio::time::Instant;

use super::{Coordinator, outage_watch::OutageWatch};
use crate::ingest::{
    limits::breaker::{BreakerState, StreakLength},
    messages::NumberedRow,
    outcome::report::GaveUp,
    source::Id,
};

/// When this many failures without a usable answer are kept, ids are handed out only as probes. This bounds the memory that the
/// failures take.
const KEPT_MAX: usize = 1000;

impl<I: Id> Coordinator<I> {
    /// Waits for changes of the circuit breaker. They must be noticed at once: while ids are tried again, no message comes from the
    /// fetchers for a long time.
    pub(super) fn watch_breaker(&mut self, ctx: &mut Context<Self>) {
        Self::cancel_timer(&mut self.breaker_watch, ctx);
        let Some(run) = &self.run else { return };
        let control = run.control.clone();
        let changed = async move { control.breaker_changed().await };
        let changed = changed.into_actor(self).map(|(), act, ctx| {
            act.follow_breaker(ctx);
            act.watch_breaker(ctx);
            act.proceed(ctx);
        });
        self.breaker_watch = Some(ctx.spawn(changed));
    }

    fn breaker_state(&self) -> BreakerState {
        self.run
            .as_ref()
            .map_or(BreakerState::Closed, |run| run.control.breaker().state())
    }

    /// Begins or ends an outage when the breaker's state asks for it.
    fn follow_breaker(&mut self, ctx: &mut Context<Self>) {
        let Some(run) = &self.run else { return };
        match self.breaker_state() {
            // Without more ids to hand out there is no outage to wait for: the run ends when the ids at fetchers are settled.
            BreakerState::Open if !self.outage.is_under_way() && run.expects_more_ids() => {
                let failing_before = run.control.breaker().failing_for(Instant::now());
                let timeout = humantime::format_duration(self.outage_timeout);
                let error = run.control.last_error();
                warn!(
                    "the API is out ({error}): ids are kept for later, and one at a time is tried for up to {timeout}"
                );
                drop(error);
                self.outage.failing_before = Some(failing_before);
                self.start_outage_timer(ctx);
            }
            BreakerState::Closed => {
                if self.outage.is_under_way() {
                    warn!("the API answers again");
                }
                self.forget_outage(ctx);
            }
            BreakerState::Suspect | BreakerState::Open => {}
        }
    }

    /// Starts the timer that ends the run when the outage has lasted for the outage timeout. Time in which no attempt could be made
    /// does not count.
    pub(super) fn start_outage_timer(&mut self, ctx: &mut Context<Self>) {
        self.stop_outage_timer(ctx);
        let (Some(run), Some(failing_before)) = (&mut self.run, self.outage.failing_before) else {
            return;
        };
        if self.is_paused {
            return;
        }
        let now = Instant::now();
        let mut breaker = run.control.breaker();
        let failing_for = breaker.failing_for(now);
        let waited = failing_for.saturating_sub(failing_before);
        let quiet_for = breaker.quiet_for(now);
        drop(breaker);
        match self.outage_timeout.checked_sub(waited) {
            Some(rest) if !rest.is_zero() => {
                let timer = ctx.run_later(rest + quiet_for, |act, ctx| {
                    act.start_outage_timer(ctx);
                    act.finish_if_done(ctx);
                });
                self.outage.timer = Some(timer);
            }
            _ => {
                let last_error = run.control.last_error().clone();
                run.give_up(GaveUp::ApiOut {
                    failing_for,
                    last_error,
                });
            }
        }
    }

    /// Stops that timer, for a pause or at the end of the outage.
    pub(super) fn stop_outage_timer(&mut self, ctx: &mut Context<Self>) {
        Self::cancel_timer(&mut self.outage.timer, ctx);
    }

    /// Ends the outage: because the API works again, or because the run has ended.
    pub(super) fn forget_outage(&mut self, ctx: &mut Context<Self>) {
        self.stop_outage_timer(ctx);
        Self::cancel_timer(&mut self.outage.probe_timer, ctx);
        self.outage = OutageWatch::default();
    }

    /// Whether ids are handed out only as probes: while the API is out, and while it may be out and enough ids have failed.
    pub(super) fn is_probing(&self) -> bool {
        let Some(run) = &self.run else { return false };
        if !self.outage.is_under_way() && !run.expects_more_ids() {
            return false;
        }
        match run.control.breaker().state() {
            BreakerState::Closed => false,
            BreakerState::Suspect => run.kept.out() >= KEPT_MAX || run.kept.deferred() > 0,
            BreakerState::Open => true,
        }
    }

    /// Whether a probe may be handed out now. Otherwise this starts a timer for it, unless an id is at a fetcher: then the next
    /// probe is handed out when that id comes back.
    pub(super) fn may_probe(&mut self, ctx: &mut Context<Self>) -> bool {
        if self.slots.busy() > 0 {
            return false;
        }
        let now = Instant::now();
        let outage = &mut self.outage;
        if let Some(next) = outage.next_probe.filter(|next| *next > now) {
            if outage.probe_timer.is_none() {
                outage.probe_timer = Some(ctx.run_later(next - now, |act, ctx| {
                    act.outage.probe_timer = None;
                    act.proceed(ctx);
                }));
            }
            return false;
        }
        outage.schedule_next_probe(now);
        true
    }

    fn is_out(&self) -> bool {
        self.outage.is_under_way() && self.breaker_state() == BreakerState::Open
    }

    /// Keeps a failure without a usable answer. `streak` says how many attempts had failed in a row.
    pub(super) fn keep_out(&mut self, row: NumberedRow<I>, streak: StreakLength) {
        let is_out = self.is_out();
        let Some(run) = &mut self.run else { return };
        let is_left_to_the_next_run = run.is_interrupted() && streak == StreakLength::Long;
        let is_worth_waiting = is_out || is_left_to_the_next_run || run.expects_more_ids();
        if run.has_given_up() || streak == StreakLength::None || !is_worth_waiting {
            run.keep_refused(row);
        } else if is_out && !run.kept.can_defer() {
            run.kept.queue_decided(row.without_permit());
        } else if is_out || is_left_to_the_next_run {
            run.defer(row);
        } else {
            run.kept.keep_out(row, streak == StreakLength::Long);
        }
    }

    /// Decides who is at fault for the kept failures, as soon as that is known. Returns whether ids are to be tried again.
    ///
    /// Of failures without a usable answer:
    /// - The API is at fault if an outage began, or if a long streak of failed attempts ended. These ids are tried again.
    /// - It is not if a short streak ended.
    /// - If nothing is in flight whose end could decide it, the length of the streak decides.
    /// - If no more ids are to be handed out, it is not, because a run does not wait for its last few ids. After a cancel it is if the
    ///   streak was long: these ids are left to the next run.
    ///
    /// If many ids are refused in a row, the run hands out no more ids until Storage has committed all answers, and then ends unless
    /// one of them broke the row.
    pub(super) fn decide_failures(&mut self) -> bool {
        let is_out = self.is_out();
        let is_idle = self.slots.busy() == 0;
        let Some(run) = &mut self.run else {
            return false;
        };
        let mut has_ids_to_try_again = false;
        if run.kept.out() > 0 {
            let has_ended = run.control.breaker().streak() == StreakLength::None;
            let is_long = run.kept.is_streak_long();
            let is_left_to_the_next_run = run.is_interrupted() && is_long;
            let is_last = !run.expects_more_ids() && !is_left_to_the_next_run;
            if !is_out && (is_last || ((has_ended || is_idle) && !is_long)) {
                run.kept.rule_out_outage();
            } else if is_out || has_ended || is_idle || is_left_to_the_next_run {
                run.blame_outage();
                has_ids_to_try_again = true;
            }
        }
        if run.kept.is_refused_too_often() && !run.has_given_up() {
            if run.in_storage() == 0 {
                run.give_up_refused();
            } else {
                self.flush();
            }
        } else if is_idle && !run.has_ids_at_hand() {
            // No other id decides about the refused ones, or fills the batch, before the list gives its next id.
            if run.in_storage() == 0 {
                run.kept.settle_refused();
            } else {
                self.flush();
            }
        }
        self.hand_over_decided();
        has_ids_to_try_again
    }

    /// Passes decided failures to Storage while the backlog has room for them.
    fn hand_over_decided(&mut self) {
        while let Some(run) = self.run.as_mut().filter(|run| run.kept.has_decided())
            && let Some(permit) = self.backlog.try_acquire_row()
            && let Some(mut failure) = run.kept.take_decided()
        {
            failure.answered.permit = permit;
            self.hand_over(failure);
        }
    }
}
