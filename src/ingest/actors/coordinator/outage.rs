//! What the coordinator does while the API may be out: hands out ids only as probes, keeps failed ids for later, and ends the run at
//! the outage timeout.
//!
//! The circuit breaker of the run says whether the API is out. Failures are kept as undecided until it is known whether the API or
//! the ids are at fault: see [`decide_failures`](Coordinator::decide_failures).

use std::time::Duration;

use actix::{ActorFutureExt, AsyncContext, Context, WrapFuture};
use log::warn;
use tokio::time::Instant;

use super::{Coordinator, Outage};
use crate::ingest::{
    limits::breaker::{BreakerState, StreakLength},
    messages::Save,
    outcome::{answer::Answer, failure::FailureKind},
    source::Id,
};

/// The time between the first two probes. It grows by half from probe to probe, up to [`PROBE_WAIT_MAX`].
pub(super) const PROBE_WAIT_MIN: Duration = Duration::from_millis(250);

/// The longest time between two probes: a recovery is noticed so soon.
const PROBE_WAIT_MAX: Duration = Duration::from_secs(2);

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
            BreakerState::Closed => {
                if self.outage.is_some() {
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
        self.probe_wait = PROBE_WAIT_MIN;
    }

    /// Whether ids are handed out only as probes: while the API is out, and while it may be out and enough ids have failed.
    pub(super) fn is_probing(&self) -> bool {
        let Some(run) = &self.run else { return false };
        if self.outage.is_none() && !run.expects_more_ids() {
            return false;
        }
        match run.control.breaker().state() {
            BreakerState::Closed => false,
            BreakerState::Suspect => run.undecided() >= UNDECIDED_MAX || run.has_deferred(),
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
        self.next_probe = Some(now + self.probe_wait);
        self.probe_wait = (self.probe_wait * 3 / 2).min(PROBE_WAIT_MAX);
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
        let is_left_to_the_next_run = run.is_interrupted() && streak == StreakLength::Long;
        let is_worth_waiting = is_out || is_left_to_the_next_run || run.expects_more_ids();
        if streak == StreakLength::None || !is_worth_waiting || !may_be_the_apis_fault(&save.answer)
        {
            return Some(save);
        }
        if is_out && !run.can_defer() {
            return Some(save);
        }
        if is_out || is_left_to_the_next_run {
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
    /// - If nothing is in flight whose end could decide it, the length of the streak decides.
    /// - If no more ids are to be handed out, the ids count as at fault, because a run does not wait for its last few ids. After a
    ///   cancel they do not if the streak was long: then they are left to the next run.
    ///
    /// Returns whether ids are to be tried again.
    pub(super) fn decide_failures(&mut self) -> bool {
        let mut has_ids_to_try_again = false;
        let is_out = self.outage.is_some() && self.breaker_state() == BreakerState::Open;
        let is_idle = self.slots.held() == 0;
        if let Some(run) = self.run.as_mut().filter(|run| run.undecided() > 0) {
            let has_ended = run.control.breaker().streak() == StreakLength::None;
            let is_long = run.is_streak_long();
            let is_left_to_the_next_run = run.is_interrupted() && is_long;
            let is_last = !run.expects_more_ids() && !is_left_to_the_next_run;
            if !is_out && (is_last || ((has_ended || is_idle) && !is_long)) {
                run.blame_the_ids();
            } else if is_out || has_ended || is_idle || is_left_to_the_next_run {
                run.blame_the_api();
                has_ids_to_try_again = true;
            }
        }
        self.hand_over_decided();
        has_ids_to_try_again
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
