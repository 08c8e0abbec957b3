//! Where requests wait until there are fewer in flight, and where it is counted what comes of them.

use std::{
    cell::Cell,
    time::{Duration, Instant},
};

use tokio::sync::{Mutex, Notify};

use super::adaptive::{End, Window};

/// Lets so many requests be in flight at once as it is told; who comes first goes first.
///
/// While requests wait here, a place that the API refused stays empty until the next look, or each of them in turn would be
/// refused there. One request may always be in flight.
#[derive(Debug)]
pub(crate) struct Gate {
    at_once: Cell<usize>,
    in_flight: Cell<usize>,
    /// Places that stay empty.
    held: Cell<usize>,
    /// Who waits, waits in line, and only the first of them looks for room.
    waiting: Cell<usize>,
    line: Mutex<()>,
    room: Notify,
    window: Cell<Window>,
    since: Cell<Instant>,
}

impl Gate {
    /// Open to all, until told otherwise.
    pub(crate) fn new() -> Self {
        Self {
            at_once: Cell::new(usize::MAX),
            in_flight: Cell::new(0),
            held: Cell::new(0),
            waiting: Cell::new(0),
            line: Mutex::new(()),
            room: Notify::new(),
            window: Cell::default(),
            since: Cell::new(Instant::now()),
        }
    }

    pub(crate) async fn enter(&self) -> Place<'_> {
        if self.waiting.get() > 0 || !self.has_room() {
            let _one_more = Waiting::count(self);
            let _first_in_line = self.line.lock().await;
            while !self.has_room() {
                self.room.notified().await;
            }
        }
        self.in_flight.set(self.in_flight.get() + 1);
        Place(self)
    }

    fn has_room(&self) -> bool {
        let in_flight = self.in_flight.get();
        in_flight == 0 || in_flight.saturating_add(self.held.get()) < self.at_once.get()
    }

    fn tell_of_room(&self) {
        if self.waiting.get() > 0 {
            self.room.notify_one();
        }
    }

    /// What ended since this was asked last.
    pub(crate) fn look(&self) -> Window {
        let now = Instant::now();
        let elapsed = now - self.since.replace(now);
        self.held.set(0);
        self.tell_of_room();
        Window {
            elapsed,
            ..self.window.take()
        }
    }

    pub(crate) fn allow(&self, at_once: usize) {
        self.at_once.set(at_once);
        self.tell_of_room();
    }
}

/// A request's place among those in flight, until it is dropped.
#[derive(Debug)]
pub(crate) struct Place<'a>(&'a Gate);

impl Place<'_> {
    /// What came of the one attempt that was made here.
    pub(crate) fn ended(&self, end: End, took: Duration) {
        let gate = self.0;
        let alone = gate.in_flight.get() == 1;
        let mut window = gate.window.get();
        window.note(end, took, alone);
        gate.window.set(window);
        if end == End::Refused && gate.waiting.get() > 0 {
            gate.held.set(gate.held.get() + 1);
        }
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.0.in_flight.set(self.0.in_flight.get() - 1);
        self.0.tell_of_room();
    }
}

struct Waiting<'a>(&'a Cell<usize>);

impl<'a> Waiting<'a> {
    fn count(Gate { waiting, .. }: &'a Gate) -> Self {
        waiting.set(waiting.get() + 1);
        Self(waiting)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.set(self.0.get() - 1);
    }
}
