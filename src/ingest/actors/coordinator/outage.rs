//! What the coordinator does while the API may be out: hands out ids only as probes, keeps failed ids for later, and ends the run at
//! the outage timeout.
//!
//! The circuit breaker of the run says whether the API is out. Failures are kept as undecided until it is known whether the API or
//! the ids are at fault: see [`decide_failures`](Coordinator::decide_failures).

use std::time::Duration;

use actix::{ActorFutureExt, AsyncContext, Context, WrapFuture};
use log::warn;
use tokio::time::Instant;

use super::{Coordinator, Outage, run_ledger::RunLedger};
use crate::ingest::{
    limits::breaker::{BreakerState, StreakLength},
    messages::Save,
    outcome::{answer::Answer, failure::FailureKind},
    source::Id,
};

/// The shortest time between two probes.
const PROBE_EVERY: Duration = Duration::from_millis(250);

/// When this many failures are undecided, ids are handed out only as probes. This bounds the memory that the failures take.
const UNDECIDED_MAX: usize = 1000;

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
            act.proceed(0, ctx);
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
            BreakerState::Open if self.outage.is_none() && run.expects_more_ids() => {
                let failing_before = run.control.breaker().failing_for(Instant::now());
                let timeout = humantime::format_duration(self.outage_timeout);
                warn!(
                    "the API is out: ids are kept for later, and one at a time is tried for up to {timeout}"
                );
                self.outage = Some(Outage {
                    failing_before,
                    timer: None,
                });
                self.start_outage_timer(ctx);
            }
            BreakerState::Closed if self.outage.is_some() => {
                warn!("the API answers again");
                self.forget_outage(ctx);
            }
            _ => {}
        }
    }

    /// Starts the timer that ends the run when the outage has lasted for the outage timeout. Time in which no attempt could be made
    /// does not count.
    pub(super) fn start_outage_timer(&mut self, ctx: &mut Context<Self>) {
        self.stop_outage_timer(ctx);
        let (Some(run), Some(outage)) = (&mut self.run, &mut self.outage) else {
            return;
        };
        if self.is_paused {
            return;
        }
        let now = Instant::now();
        let mut breaker = run.control.breaker();
        let failing_for = breaker.failing_for(now);
        let waited = failing_for.saturating_sub(outage.failing_before);
        let quiet_for = breaker.quiet_for(now);
        drop(breaker);
        match self.outage_timeout.checked_sub(waited) {
            Some(rest) if !rest.is_zero() => {
                let timer = ctx.run_later(rest + quiet_for, |act, ctx| {
                    act.start_outage_timer(ctx);
                    act.finish_if_done(ctx);
                });
                outage.timer = Some(timer);
            }
            _ => run.give_up(failing_for),
        }
    }

    /// Stops that timer, for a pause or at the end of the outage.
    pub(super) fn stop_outage_timer(&mut self, ctx: &mut Context<Self>) {
        if let Some(outage) = &mut self.outage {
            Self::cancel_timer(&mut outage.timer, ctx);
        }
    }

    /// Ends the outage: because the API works again, or because the run has ended.
    pub(super) fn forget_outage(&mut self, ctx: &mut Context<Self>) {
        self.stop_outage_timer(ctx);
        Self::cancel_timer(&mut self.probe_timer, ctx);
        self.outage = None;
        self.next_probe = None;
    }

    /// Whether ids are handed out only as probes: while the API is out, and while it may be out and many failures are undecided.
    pub(super) fn is_probing(&self) -> bool {
        let undecided = self.run.as_ref().map_or(0, RunLedger::undecided);
        match self.breaker_state() {
            BreakerState::Closed => false,
            BreakerState::Suspect => undecided >= UNDECIDED_MAX,
            BreakerState::Open => true,
        }
    }

    /// Whether a probe may be handed out now. Otherwise this starts a timer for it, unless an id is at a fetcher: then the next
    /// probe is handed out when that id comes back.
    pub(super) fn may_probe(&mut self, ctx: &mut Context<Self>) -> bool {
        if self.slots.held() > 0 {
            return false;
        }
        let now = Instant::now();
        if let Some(next) = self.next_probe.filter(|next| *next > now) {
            if self.probe_timer.is_none() {
                self.probe_timer = Some(ctx.run_later(next - now, |act, ctx| {
                    act.probe_timer = None;
                    act.proceed(0, ctx);
                }));
            }
            return false;
        }
        self.next_probe = Some(now + PROBE_EVERY);
        true
    }

    /// Keeps a failure that may be the API's fault. Returns any other answer. `streak` says how many attempts had failed in a row.
    pub(super) fn unless_the_api_is_at_fault(
        &mut self,
        save: Save<I>,
        streak: StreakLength,
    ) -> Option<Save<I>> {
        let is_out = self.outage.is_some() && self.breaker_state() == BreakerState::Open;
        let Some(run) = &mut self.run else {
            return Some(save);
        };
        let is_worth_waiting = is_out || run.expects_more_ids();
        if streak == StreakLength::None || !is_worth_waiting || !may_be_the_apis_fault(&save.answer)
        {
            return Some(save);
        }
        if is_out {
            run.defer(save.id);
        } else {
            run.keep_undecided(save, streak == StreakLength::Long);
        }
        None
    }

    /// Decides who is at fault for the undecided failures, as soon as that is known.
    ///
    /// - The API is at fault if an outage began, or if a long streak of failed attempts ended. These ids are tried again.
    /// - The ids are at fault if a short streak ended.
    /// - The ids also count as at fault if no more ids are to be handed out, because a run does not wait for its last few ids; and
    ///   if nothing is in flight whose end could decide it.
    pub(super) fn decide_failures(&mut self) {
        let state = self.breaker_state();
        let is_idle = self.slots.held() == 0;
        if let Some(run) = self.run.as_mut().filter(|run| run.undecided() > 0) {
            let has_streak = run.control.breaker().streak() != StreakLength::None;
            if self.outage.is_some() && state == BreakerState::Open {
                run.blame_the_api();
            } else if !run.expects_more_ids() {
                run.blame_the_ids();
            } else if !has_streak && run.is_streak_long() {
                run.blame_the_api();
            } else if !has_streak || (is_idle && state == BreakerState::Closed) {
                run.blame_the_ids();
            }
        }
        self.hand_over_decided();
    }

    /// Passes decided failures to Storage while the backlog has room for them.
    fn hand_over_decided(&mut self) {
        while let Some(run) = self.run.as_mut().filter(|run| run.has_decided())
            && let Some(permit) = self.backlog.try_acquire_row()
            && let Some(failure) = run.take_decided()
        {
            self.hand_over(Save { permit, ..failure });
        }
    }
}

/// Whether an id may have failed because the API is out.
fn may_be_the_apis_fault(answer: &Answer) -> bool {
    use FailureKind::{Connect, Reset, Status, Timeout};
    matches!(
        answer,
        Answer::Failed(Connect | Reset | Status | Timeout, _)
    )
}
