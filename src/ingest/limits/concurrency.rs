//! Temporary: today's rule behind the interface of the throttle.

use std::time::Duration;

use tokio::time::Instant;

use super::adaptive::{Adaptive, End, TICK, Window};
use crate::ingest::limits::signal::Signal;

#[derive(Debug)]
pub(crate) struct AdaptiveLimits {
    rule: Adaptive,
    window: Window,
    since: Instant,
}

impl AdaptiveLimits {
    pub(crate) fn new(ceiling: usize, now: Instant) -> Self {
        Self {
            rule: Adaptive::new(ceiling),
            window: Window::default(),
            since: now,
        }
    }

    pub(crate) fn record(
        &mut self,
        now: Instant,
        signal: Signal,
        took: Duration,
        in_flight: usize,
    ) {
        self.window.note(End::of(signal), took, in_flight == 1);
        if now - self.since >= TICK {
            let mut window = std::mem::take(&mut self.window);
            window.elapsed = now - self.since;
            self.since = now;
            self.rule = self.rule.clone().after(&window);
        }
    }

    pub(crate) fn in_flight_limit(&self) -> usize {
        self.rule.allowed().at_once
    }

    pub(crate) fn learned_rate(&self) -> Option<f64> {
        self.rule.allowed().a_second
    }
}
