//! The slots of the coordinator: which ids each fetcher holds, and which fetcher has room.

use std::{
    collections::VecDeque,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
};

use actix::Recipient;

use crate::ingest::{
    handle::control::RunControl, messages::Fetch, outcome::panics::panic_message, source::Id,
};

/// The fetchers of a pipeline, one per slot. Their number does not change.
pub(super) struct Slots<I: Id> {
    slots: Vec<Slot<I>>,
    /// The most ids that one fetcher holds: the id in flight and those in its mailbox.
    holds_max: usize,
    /// The number of ids that all fetchers together hold.
    held: usize,
}

/// A fetcher and its ids.
struct Slot<I: Id> {
    fetcher: Recipient<Fetch<I>>,
    /// Copies of the ids that the fetcher holds, in the order in which it works on them. They survive when the fetcher dies.
    holds: VecDeque<I>,
}

/// An id that cannot be handed out, because its `Clone` panicked.
pub(super) struct CannotCopy<I> {
    pub(super) id: I,
    pub(super) panic: String,
}

impl<I: Id> Slots<I> {
    /// `mailbox` is how many ids may wait at a fetcher behind the one in flight.
    pub(super) fn new(mailbox: usize) -> Self {
        Self {
            slots: Vec::new(),
            holds_max: 1 + mailbox,
            held: 0,
        }
    }

    pub(super) fn add(&mut self, fetcher: Recipient<Fetch<I>>) {
        let holds = VecDeque::with_capacity(self.holds_max);
        self.slots.push(Slot { fetcher, holds });
    }

    /// The number of ids that all fetchers together hold.
    pub(super) fn held(&self) -> usize {
        self.held
    }

    /// The fetcher that holds the fewest ids, so that no id waits at one fetcher while another is idle. `None` if all are full.
    ///
    /// `freed` is a fetcher that may have room. If only this fetcher has room, the others are not searched, which would be slow with
    /// thousands of fetchers.
    pub(super) fn with_most_room(&self, freed: usize) -> Option<usize> {
        let room = self.slots.len() * self.holds_max - self.held;
        let room_of = |slot: &Slot<I>| self.holds_max - slot.holds.len();
        if room == 0 {
            return None;
        }
        if self
            .slots
            .get(freed)
            .is_some_and(|slot| room_of(slot) == room)
        {
            return Some(freed);
        }
        let slots = self.slots.iter().enumerate();
        slots
            .min_by_key(|(_, slot)| slot.holds.len())
            .map(|(index, _)| index)
    }

    /// Gives an id to the fetcher in a slot.
    ///
    /// # Errors
    /// The id cannot be copied.
    pub(super) fn give(
        &mut self,
        slot: usize,
        id: I,
        control: Arc<RunControl>,
    ) -> Result<(), CannotCopy<I>> {
        let copy = match catch_unwind(AssertUnwindSafe(|| id.clone())) {
            Ok(copy) => copy,
            Err(panic) => {
                let panic = panic_message(&*panic);
                return Err(CannotCopy { id, panic });
            }
        };
        let slot = &mut self.slots[slot];
        slot.holds.push_back(copy);
        self.held += 1;
        slot.fetcher.do_send(Fetch { id, control });
        Ok(())
    }

    /// The fetcher is done with the id that it held longest.
    pub(super) fn release(&mut self, slot: usize) {
        if self.slots[slot].holds.pop_front().is_some() {
            self.held -= 1;
        }
    }

    /// Replaces a dead fetcher. Returns the ids that the dead one held, the one that it worked on first.
    pub(super) fn replace(&mut self, slot: usize, fetcher: Recipient<Fetch<I>>) -> VecDeque<I> {
        let slot = &mut self.slots[slot];
        slot.fetcher = fetcher;
        let held = std::mem::take(&mut slot.holds);
        self.held -= held.len();
        held
    }
}

#[cfg(test)]
mod tests {
    use std::fmt;

    use actix::{Actor, Context, Handler};
    use actix_rt::System;

    use super::*;

    /// Takes ids and does nothing with them.
    struct Idle;

    impl Actor for Idle {
        type Context = Context<Self>;
    }

    impl<I: Id> Handler<Fetch<I>> for Idle {
        type Result = ();

        fn handle(&mut self, _: Fetch<I>, _: &mut Self::Context) {}
    }

    fn with_slots<I: Id>(fetchers: usize, mailbox: usize, test: impl FnOnce(Slots<I>)) {
        System::new().block_on(async {
            let mut slots = Slots::new(mailbox);
            (0..fetchers).for_each(|_| slots.add(Idle.start().recipient()));
            test(slots);
        });
    }

    fn give(slots: &mut Slots<i64>, freed: usize, id: i64) -> Option<usize> {
        let slot = slots.with_most_room(freed)?;
        assert!(slots.give(slot, id, Arc::default()).is_ok());
        Some(slot)
    }

    #[test]
    fn no_id_waits_at_a_fetcher_while_another_is_idle() {
        with_slots(3, 1, |mut slots| {
            let taken: Vec<_> = (0..7).map(|id| give(&mut slots, 0, id)).collect();
            let all = [0, 1, 2, 0, 1, 2].map(Some);
            assert_eq!(taken[..6], all);
            assert_eq!((taken[6], slots.held()), (None, 6));
            slots.release(1);
            slots.release(1);
            slots.release(2);
            assert_eq!(give(&mut slots, 2, 8), Some(1));
        });
    }

    #[test]
    fn without_a_mailbox_a_fetcher_holds_one_id() {
        with_slots(2, 0, |mut slots| {
            assert_eq!(give(&mut slots, 0, 1), Some(0));
            assert_eq!(give(&mut slots, 0, 2), Some(1));
            assert_eq!(give(&mut slots, 0, 3), None);
            slots.release(1);
            assert_eq!(give(&mut slots, 1, 3), Some(1));
        });
    }

    #[test]
    fn a_dead_fetchers_ids_come_back_in_order() {
        with_slots(1, 2, |mut slots| {
            (1..=3).for_each(|id| _ = give(&mut slots, 0, id));
            assert_eq!(slots.replace(0, Idle.start().recipient()), [1, 2, 3]);
            assert_eq!((slots.held(), give(&mut slots, 0, 4)), (0, Some(0)));
        });
    }

    #[derive(Debug)]
    struct NoCopy;

    impl Clone for NoCopy {
        fn clone(&self) -> Self {
            panic!("no copy")
        }
    }

    impl fmt::Display for NoCopy {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("no copy")
        }
    }

    #[test]
    fn an_id_whose_clone_panics_comes_back_with_the_message() {
        with_slots(1, 0, |mut slots| {
            let refused = slots.give(0, NoCopy, Arc::default());
            assert_eq!(refused.expect_err("a panic").panic, "no copy");
            assert_eq!(slots.held(), 0);
        });
    }
}
