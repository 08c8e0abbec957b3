//! The one way this module waits: for a gate to open.

use super::lock;
use std::sync::{Arc, Mutex};
use std::thread::{self, Thread};
use std::time::Instant;

/// Holds back the replies that are [`held_by`](super::Reply::held_by) it until the test opens it. Its clones are the
/// same gate. Once open it stays open.
#[derive(Clone, Debug, Default)]
pub struct Gate(Arc<Mutex<Inner>>);

#[derive(Debug, Default)]
struct Inner {
    open: bool,
    waiting: Vec<Thread>,
}

impl Gate {
    /// A closed gate.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Lets everything through that waits, and all that comes later.
    pub fn open(&self) {
        let mut inner = lock(&self.0);
        inner.open = true;
        inner.waiting.drain(..).for_each(|thread| thread.unpark());
    }

    pub(super) fn is_open(&self) -> bool {
        lock(&self.0).open
    }

    /// Waits until one of the gates is open or the deadline has passed. Parking, not a condition variable: a thread can
    /// be woken by whichever gate comes first.
    pub(super) fn wait_any(gates: &[&Gate], deadline: Option<Instant>) {
        let me = thread::current();
        for gate in gates {
            lock(&gate.0).waiting.push(me.clone());
        }
        while !gates.iter().any(|gate| gate.is_open()) {
            match deadline.map(|at| at.saturating_duration_since(Instant::now())) {
                None => thread::park(),
                Some(left) if left.is_zero() => break,
                Some(left) => thread::park_timeout(left),
            }
        }
        for gate in gates {
            lock(&gate.0)
                .waiting
                .retain(|thread| thread.id() != me.id());
        }
    }
}
