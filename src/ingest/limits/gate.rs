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

#[cfg(test)]
mod tests {
    use actix_rt::{System, spawn, task::JoinHandle};
    use tokio::task::yield_now;

    use super::*;

    fn gate(at_once: usize) -> &'static Gate {
        let gate = Box::leak(Box::new(Gate::new()));
        gate.allow(at_once);
        gate
    }

    /// So many wait there, in this order.
    async fn waiting(gate: &'static Gate, count: usize) -> Vec<JoinHandle<Place<'static>>> {
        let waiting = (0..count).map(|_| spawn(gate.enter())).collect();
        settle().await;
        waiting
    }

    async fn settle() {
        for _ in 0..10 {
            yield_now().await;
        }
    }

    /// Who got a place.
    fn inside(waiting: &[JoinHandle<Place<'static>>]) -> Vec<usize> {
        let inside = waiting.iter().enumerate();
        inside
            .filter(|(_, one)| one.is_finished())
            .map(|(index, _)| index)
            .collect()
    }

    #[test]
    fn who_comes_first_goes_first() {
        System::new().block_on(async {
            let gate = gate(1);
            let mut place = gate.enter().await;
            let mut waiting = waiting(gate, 3).await;
            while !waiting.is_empty() {
                assert!(inside(&waiting).is_empty());
                drop(place);
                // Who comes only now does not get past those in line.
                waiting.push(spawn(gate.enter()));
                settle().await;
                assert_eq!(inside(&waiting), [0]);
                waiting.pop().expect("the last").abort();
                place = waiting.remove(0).await.expect("a place");
            }
        });
    }

    #[test]
    fn a_lower_limit_counts_those_that_are_in_flight_already() {
        System::new().block_on(async {
            let gate = gate(4);
            let mut places = Vec::new();
            for _ in 0..4 {
                places.push(gate.enter().await);
            }
            gate.allow(2);
            let waiting = waiting(gate, 2).await;
            for (left, expected) in [(3, 0), (2, 0), (1, 1), (0, 2)] {
                places.truncate(left);
                settle().await;
                assert_eq!(inside(&waiting).len(), expected, "{left} of before");
            }
        });
    }

    #[test]
    fn a_higher_limit_lets_in_as_many_more() {
        System::new().block_on(async {
            let gate = gate(1);
            let _place = gate.enter().await;
            let waiting = waiting(gate, 4).await;
            gate.allow(4);
            settle().await;
            assert_eq!(inside(&waiting), [0, 1, 2]);
        });
    }

    #[test]
    fn nobody_waits_for_ever_because_another_who_waited_is_gone() {
        System::new().block_on(async {
            for (gone, told) in [(0, false), (0, true), (1, false), (1, true), (2, true)] {
                let gate = gate(1);
                let place = gate.enter().await;
                let mut waiting = waiting(gate, 3).await;
                if told {
                    // There is room, and who is told of it has not looked yet.
                    drop(place);
                    waiting.remove(gone).abort();
                } else {
                    waiting.remove(gone).abort();
                    settle().await;
                    drop(place);
                }
                for one in waiting {
                    settle().await;
                    assert!(one.is_finished(), "{gone} is gone, {told}");
                    drop(one.await.expect("a place"));
                }
            }
        });
    }

    #[test]
    fn one_may_always_be_in_flight() {
        System::new().block_on(async {
            let gate = gate(1);
            let mut place = gate.enter().await;
            for _ in 0..3 {
                let mut waiting = waiting(gate, 1).await;
                place.ended(End::Refused, Duration::ZERO);
                drop(place);
                settle().await;
                assert_eq!(inside(&waiting), [0]);
                place = waiting.remove(0).await.expect("a place");
            }
        });
    }

    #[test]
    fn a_refused_place_stays_empty_until_the_next_look_while_others_wait() {
        System::new().block_on(async {
            let gate = gate(2);
            let (_stays, goes) = (gate.enter().await, gate.enter().await);
            goes.ended(End::Refused, Duration::ZERO);
            drop(goes);
            let goes = gate.enter().await;
            let waiting = waiting(gate, 1).await;
            goes.ended(End::Refused, Duration::ZERO);
            drop(goes);
            settle().await;
            assert!(inside(&waiting).is_empty());
            assert_eq!(gate.look().refused, 2);
            settle().await;
            assert_eq!(inside(&waiting), [0]);
        });
    }
}
