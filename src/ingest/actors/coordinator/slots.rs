//! The coordinator's account of its fetchers: which ids each holds, and where there is room.

use std::{collections::VecDeque, sync::Arc};

use actix::Recipient;

use crate::ingest::{handle::stop::Control, messages::Fetch, source::Id};

/// A fixed number of fetchers, each holding up to `holds_max` ids: the one in flight and those in its mailbox.
pub(crate) struct FetcherPool<I: Id> {
    slots: Vec<Slot<I>>,
    holds_max: usize,
    held: usize,
}

struct Slot<I: Id> {
    fetcher: Recipient<Fetch<I>>,
    /// In the order in which the fetcher works on them.
    holds: VecDeque<I>,
}

impl<I: Id> FetcherPool<I> {
    pub(crate) fn new(mailbox: usize) -> Self {
        Self {
            slots: Vec::new(),
            holds_max: 1 + mailbox,
            held: 0,
        }
    }

    pub(crate) fn add(&mut self, fetcher: Recipient<Fetch<I>>) {
        let holds = VecDeque::with_capacity(self.holds_max);
        self.slots.push(Slot { fetcher, holds });
    }

    /// Ids that fetchers hold.
    pub(crate) fn held(&self) -> usize {
        self.held
    }

    /// The fetcher that holds the fewest ids, unless all are full: no id waits at one while another is idle. `freed` is one that
    /// may well have room.
    pub(crate) fn roomiest(&self, freed: usize) -> Option<usize> {
        let room = self.slots.len() * self.holds_max - self.held;
        let holds = |slot: &Slot<I>| slot.holds.len();
        if room == 0 {
            None
        } else if self
            .slots
            .get(freed)
            .is_some_and(|slot| self.holds_max - holds(slot) == room)
        {
            // All the room there is: with every fetcher busy, this saves a look at each of them for every id.
            Some(freed)
        } else {
            let slots = self.slots.iter().enumerate();
            slots
                .min_by_key(|(_, slot)| holds(slot))
                .map(|(index, _)| index)
        }
    }

    pub(crate) fn give(&mut self, slot: usize, id: I, control: Arc<Control>) {
        let slot = &mut self.slots[slot];
        slot.holds.push_back(id.clone());
        self.held += 1;
        slot.fetcher.do_send(Fetch { id, control });
    }

    /// The id that a fetcher has an answer for: fetchers answer in order.
    pub(crate) fn take_answered(&mut self, slot: usize) -> Option<I> {
        let id = self.slots[slot].holds.pop_front()?;
        self.held -= 1;
        Some(id)
    }

    /// Puts another fetcher in a dead one's place; gives what that held.
    pub(crate) fn replace(&mut self, slot: usize, fetcher: Recipient<Fetch<I>>) -> VecDeque<I> {
        let slot = &mut self.slots[slot];
        slot.fetcher = fetcher;
        let held = std::mem::take(&mut slot.holds);
        self.held -= held.len();
        held
    }
}
