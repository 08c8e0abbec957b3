//! How much the API is asked at once.

use actix::{AsyncContext, Context};
use log::debug;

use super::{Coordinator, cancel};
use crate::ingest::{
    limits::adaptive::{Allowed, TICK, Window},
    source::Id,
};

/// What the rule sees, and where it acts.
pub(crate) struct Demand {
    /// What came of the attempts since the last look; `None` if all may work always.
    pub(crate) look: Box<dyn Fn() -> Option<Window>>,
    pub(crate) allow: Box<dyn Fn(&Allowed)>,
}

impl<I: Id> Coordinator<I> {
    /// From now on the rule is asked again and again. What came before is of no run.
    pub(super) fn start_adapting(&mut self, ctx: &mut Context<Self>) {
        if self.adapting.is_none() && (self.demand.look)().is_some() {
            self.adapting = Some(ctx.run_interval(TICK, |act, _| act.adapt()));
        }
    }

    pub(super) fn stop_adapting(&mut self, ctx: &mut Context<Self>) {
        cancel(self.adapting.take(), ctx);
    }

    /// Decides anew how many fetchers work at the moment.
    fn adapt(&mut self) {
        let Some(window) = (self.demand.look)() else {
            return;
        };
        let before = self.adaptive.allowed();
        self.adaptive = self.adaptive.clone().after(&window);
        let now = self.adaptive.allowed();
        if now != before {
            (self.demand.allow)(&now);
            self.meters.in_flight_limit.set(now.at_once as f64);
        }
        if now.at_once != before.at_once || now.a_second.is_some() != before.a_second.is_some() {
            let rate = now.a_second.map(|rate| format!(", {rate:.0} a second"));
            let rate = rate.unwrap_or_default();
            debug!(
                "{} of {} fetchers may ask at once{rate}",
                now.at_once, self.workers
            );
        }
    }
}
