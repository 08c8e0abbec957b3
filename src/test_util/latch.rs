//! A latch: the only way in which this module's threads wait.

use std::{
    sync::{Arc, Mutex},
    thread::{self, Thread},
    time::Instant,
};

use super::lock;

/// Holds back every reply that is [`held_by`](super::Reply::held_by) it until the test opens it. An open latch stays
/// open. A clone is the same latch.
#[derive(Clone, Debug, Default)]
pub struct Latch(Arc<Mutex<LatchState>>);

#[derive(Debug, Default)]
struct LatchState {
    open: bool,
    /// The threads to wake when the latch opens.
    waiting: Vec<Thread>,
}

impl Latch {
    /// A closed latch.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Lets everything through: what waits now, and what comes later.
    pub fn open(&self) {
        let mut state = lock(&self.0);
        state.open = true;
        state.waiting.drain(..).for_each(|thread| thread.unpark());
    }

    pub(super) fn is_open(&self) -> bool {
        lock(&self.0).open
    }

    /// Waits until one of the latches is open or the deadline has passed.
    ///
    /// It parks the thread instead of using a condition variable, because any of several latches may wake it.
    pub(super) fn wait_any(latches: &[&Latch], deadline: Option<Instant>) {
        let me = thread::current();
        for latch in latches {
            lock(&latch.0).waiting.push(me.clone());
        }
        while !latches.iter().any(|latch| latch.is_open()) {
            match deadline.map(|at| at.saturating_duration_since(Instant::now())) {
                None => thread::park(),
                Some(left) if left.is_zero() => break,
                Some(left) => thread::park_timeout(left),
            }
        }
        for latch in latches {
            lock(&latch.0)
                .waiting
                .retain(|thread| thread.id() != me.id());
        }
    }
}
