//! The slots of the coordinator: which id each fetcher works on, and which fetcher is idle.

use actix::Recipient;

use crate::ingest::{
    messages::{Fetch, RunId},
    outcome::panics::catch,
    source::Id,
};

/// The fetchers of a pipeline, one per slot.
pub(super) struct Slots<I: Id> {
    slots: Vec<Slot<I>>,
    /// How many fetchers may work at once. If it was lowered, there are more fetchers: busy ones finish their ids, and some stay
    /// idle.
    pub(super) limit: usize,
    /// The numbers of the slots whose fetcher works on no id.
    idle: Vec<usize>,
}

/// A fetcher and its id.
struct Slot<I: Id> {
    fetcher: Recipient<Fetch<I>>,
    /// The run of the id that the fetcher works on, and a copy of the id. It survives when the fetcher dies.
    works_on: Option<(RunId, I)>,
}

/// An id that cannot be handed out, because its `Clone` panicked.
pub(super) struct CannotCopy<I> {
    pub(super) id: I,
    pub(super) panic: String,
}

impl<I: Id> Slots<I> {
    /// Slots without fetchers.
    pub(super) fn new() -> Self {
        Self {
            slots: Vec::new(),
            limit: 0,
            idle: Vec::new(),
        }
    }

    pub(super) fn add(&mut self, fetcher: Recipient<Fetch<I>>) {
        self.idle.push(self.slots.len());
        let works_on = None;
        self.slots.push(Slot { fetcher, works_on });
    }

    /// How many fetchers there are, those included that stay idle.
    pub(super) fn len(&self) -> usize {
        self.slots.len()
    }

    /// How many fetchers work on an id.
    pub(super) fn busy(&self) -> usize {
        self.slots.len() - self.idle.len()
    }

    pub(super) fn has_idle(&self) -> bool {
        !self.idle.is_empty() && self.busy() < self.limit
    }

    /// Gives an id to an idle fetcher. The caller has checked [`has_idle`](Self::has_idle).
    ///
    /// # Errors
    /// The id cannot be copied.
    pub(super) fn give(&mut self, run: RunId, fetch: Fetch<I>) -> Result<(), CannotCopy<I>> {
        let copy = match catch(|| fetch.id.clone()) {
            Ok(copy) => copy,
            Err(panic) => {
                let id = fetch.id;
                return Err(CannotCopy { id, panic });
            }
        };
        if let Some(slot) = self.idle.pop() {
            let slot = &mut self.slots[slot];
            slot.works_on = Some((run, copy));
            slot.fetcher.do_send(fetch);
        }
        Ok(())
    }

    /// The fetcher is done with its id. Returns the run of the id, and the copy.
    pub(super) fn release(&mut self, slot: usize) -> Option<(RunId, I)> {
        let worked_on = self.slots[slot].works_on.take();
        if worked_on.is_some() {
            self.idle.push(slot);
        }
        worked_on
    }

    /// Replaces a dead fetcher. The id that it worked on is still to be [released](Self::release).
    pub(super) fn replace(&mut self, slot: usize, fetcher: Recipient<Fetch<I>>) {
        self.slots[slot].fetcher = fetcher;
    }
}

#[cfg(test)]
mod tests {
    use std::{fmt, sync::Arc};

    use actix::{Actor, Context, Handler};
    use actix_rt::System;

    use super::*;
    use crate::ingest::{backlog::Backlog, outcome::answer::AttemptsSoFar};

    /// Takes ids and does nothing with them.
    struct Idle;

    impl Actor for Idle {
        type Context = Context<Self>;
    }

    impl<I: Id> Handler<Fetch<I>> for Idle {
        type Result = ();

        fn handle(&mut self, _: Fetch<I>, _: &mut Self::Context) {}
    }

    fn with_slots<I: Id>(fetchers: usize, test: impl FnOnce(Slots<I>)) {
        System::new().block_on(async {
            let mut slots = Slots::new();
            (0..fetchers).for_each(|_| slots.add(Idle.start().recipient()));
            slots.limit = fetchers;
            test(slots);
        });
    }

    fn fetch<I>(id: I) -> Fetch<I> {
        Fetch {
            id,
            so_far: AttemptsSoFar::default(),
            control: Arc::default(),
            backlog: Backlog::new(1),
        }
    }

    fn give(slots: &mut Slots<i64>, id: i64) -> RunId {
        let run = RunId::next();
        assert!(slots.give(run, fetch(id)).is_ok());
        run
    }

    #[test]
    fn a_fetcher_is_idle_again_when_it_is_done_with_its_id() {
        with_slots(2, |mut slots| {
            give(&mut slots, 1);
            assert!(slots.has_idle());
            give(&mut slots, 2);
            assert_eq!((slots.busy(), slots.has_idle()), (2, false));
            assert!(slots.release(0).is_some());
            assert_eq!((slots.busy(), slots.has_idle()), (1, true));
            assert_eq!((slots.release(0), slots.busy()), (None, 1));
        });
    }

    #[test]
    fn the_id_of_a_dead_fetcher_comes_back_with_its_run_and_the_new_fetcher_is_idle() {
        with_slots(1, |mut slots| {
            let run = give(&mut slots, 7);
            slots.replace(0, Idle.start().recipient());
            assert_eq!(slots.release(0), Some((run, 7)));
            assert_eq!((slots.busy(), slots.has_idle()), (0, true));
            slots.replace(0, Idle.start().recipient());
            assert_eq!(slots.release(0), None);
            assert_eq!((slots.busy(), slots.len()), (0, 1));
        });
    }

    #[test]
    fn a_lower_limit_leaves_fetchers_idle_and_lets_busy_ones_finish() {
        with_slots(3, |mut slots| {
            for id in 1..=3 {
                give(&mut slots, id);
            }
            slots.limit = 1;
            assert_eq!((slots.busy(), slots.has_idle()), (3, false));
            for slot in 0..2 {
                slots.release(slot);
                assert!(!slots.has_idle());
            }
            slots.release(2);
            assert!(slots.has_idle());
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
        with_slots(1, |mut slots| {
            let refused = slots.give(RunId::next(), fetch(NoCopy));
            assert_eq!(refused.expect_err("a panic").panic, "no copy");
            assert_eq!(slots.busy(), 0);
        });
    }
}
