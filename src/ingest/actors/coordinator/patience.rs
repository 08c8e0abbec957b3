//! How long an outage of the API is waited for.

use std::time::Duration;

use actix::{AsyncContext, Context};
use log::warn;

use super::{Coordinator, cancel};
use crate::ingest::{limits::outage::Change, source::Id};

/// An outage may begin while every id is still being tried again, and end while nothing is.
const LOOK_EVERY: Duration = Duration::from_secs(1);

impl<I: Id> Coordinator<I> {
    /// From now on the API's health is looked at whether ids end or not.
    pub(super) fn start_looking(&mut self, ctx: &mut Context<Self>) {
        if self.looking.is_none() {
            self.looking = Some(ctx.run_interval(LOOK_EVERY, |act, ctx| {
                act.look_for_outage(ctx);
                act.go_on(0, ctx);
            }));
        }
    }

    pub(super) fn stop_looking(&mut self, ctx: &mut Context<Self>) {
        cancel(self.looking.take(), ctx);
    }

    pub(super) fn look_for_outage(&mut self, ctx: &mut Context<Self>) {
        let Some(current) = &self.current else { return };
        match self
            .outage
            .look((self.down_for)(), current.has_unread_ids())
        {
            Some(Change::Begins) => {
                let patience = humantime::format_duration(self.outage_patience);
                warn!("the API is out: ids are held back, and it is tried for {patience}");
                self.count_patience(ctx);
            }
            Some(Change::Ends) => {
                warn!("the API answers again");
                self.stop_counting_patience(ctx);
            }
            None => {}
        }
    }

    /// Counts from now, if the API is out. A pause stops the count, since nothing is tried meanwhile.
    pub(super) fn count_patience(&mut self, ctx: &mut Context<Self>) {
        if !self.outage.is_on() || self.paused {
            return;
        }
        self.stop_counting_patience(ctx);
        self.patience = Some(ctx.run_later(self.outage_patience, |act, ctx| {
            let down = (act.down_for)().unwrap_or(act.outage_patience);
            if let Some(current) = &mut act.current {
                current.give_up(down);
            }
            act.finish_if_done(ctx);
        }));
    }

    pub(super) fn stop_counting_patience(&mut self, ctx: &mut Context<Self>) {
        cancel(self.patience.take(), ctx);
    }
}
