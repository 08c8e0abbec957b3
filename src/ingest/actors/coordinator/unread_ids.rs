//! The ids of a run that were not read yet, and what is left of them when the run stops.

use std::{mem, task::Poll};

use actix::SpawnHandle;
use log::warn;

use super::id_stream::{IdStream, NextId};
use crate::ingest::{
    outcome::answer::AttemptsSoFar,
    stats::{event::Event, recorder::Recorder},
};

/// See the [module](self).
pub(super) struct UnreadIds<I> {
    list: List<I>,
    /// How many ids the list still has, by its own account. They are already counted as requested. 0 if the list does not know.
    pub(super) counted: u64,
    /// What was left of the list when the run stopped reading it.
    rest: Option<IdStream<I>>,
    /// Why the list ended too early, if it did.
    pub(super) failed: Option<String>,
}

enum List<I> {
    /// The list can be polled.
    Here(IdStream<I>),
    /// The list waits for its next id, and comes back with it. The handle cancels the wait.
    Awaited(Option<SpawnHandle>),
    /// There are no unread ids.
    Ended,
}

/// What the coordinator does next to hand out an id.
pub(super) enum Next<I> {
    /// Gives this id to a fetcher, which goes on with its attempts.
    Give(I, AttemptsSoFar),
    /// Waits for the list's next id, and returns the list with [`UnreadIds::take_back`].
    Await(IdStream<I>),
    /// Nothing: there is no id to hand out now.
    Nothing,
}

impl<I> Next<I> {
    /// Gives an id that no attempt was made for, if there is one.
    pub(super) fn fresh(id: Option<I>) -> Self {
        id.map_or(Self::Nothing, |id| Self::Give(id, AttemptsSoFar::default()))
    }
}

impl<I> UnreadIds<I> {
    /// If the list knows its length, its ids count as requested from now on, and those that it does not have after all no longer
    /// do at its end. Otherwise each counts when it is read.
    pub(super) fn new(ids: IdStream<I>, recorder: &Recorder) -> Self {
        let counted = ids.remaining().unwrap_or(0);
        recorder.record(Event::Requested, counted);
        let mut unread = Self {
            list: List::Here(ids),
            counted,
            rest: None,
            failed: None,
        };
        unread.end_if_empty(recorder);
        unread
    }

    /// Reads the next id.
    pub(super) fn read(&mut self, recorder: &Recorder) -> Next<I> {
        match mem::replace(&mut self.list, List::Awaited(None)) {
            List::Here(mut ids) => match ids.poll_now() {
                Poll::Ready(next) => Next::fresh(self.take_back(ids, next, recorder)),
                Poll::Pending => Next::Await(ids),
            },
            without_ids => {
                self.list = without_ids;
                Next::Nothing
            }
        }
    }

    /// The task `waiting` waits for the next id.
    pub(super) fn wait(&mut self, waiting: SpawnHandle) {
        self.list = List::Awaited(Some(waiting));
    }

    /// The list is here again, with the result of polling it. Returns the next id, if there is one.
    pub(super) fn take_back(
        &mut self,
        ids: IdStream<I>,
        next: NextId<I>,
        recorder: &Recorder,
    ) -> Option<I> {
        self.list = List::Here(ids);
        match next {
            Some(Ok(id)) => {
                if self.counted > 0 {
                    self.counted -= 1;
                } else {
                    recorder.record(Event::Requested, 1);
                }
                self.end_if_empty(recorder);
                return Some(id);
            }
            Some(Err(why)) => {
                warn!(
                    "the list of ids failed: {why}; the ids that it still holds are not attempted"
                );
                self.failed = Some(why);
                self.list = List::Ended;
            }
            None => self.end(recorder),
        }
        None
    }

    /// There are no more ids, whatever the list said.
    fn end(&mut self, recorder: &Recorder) {
        recorder.record(Event::NotInList, mem::take(&mut self.counted));
        self.list = List::Ended;
    }

    /// A list that is empty need not be polled to learn that. So its run can end while no fetcher is idle.
    fn end_if_empty(&mut self, recorder: &Recorder) {
        if let List::Here(ids) = &self.list
            && ids.is_empty_list()
        {
            self.end(recorder);
        }
    }

    /// Reads no more ids. Returns the task that waits for the next one, which the caller cancels.
    pub(super) fn stop(&mut self) -> Option<SpawnHandle> {
        match mem::replace(&mut self.list, List::Ended) {
            List::Awaited(waiting) => return waiting,
            List::Here(ids) => self.rest = Some(ids),
            List::Ended => {}
        }
        None
    }

    /// Whether there may be unread ids, as far as the list knows.
    pub(super) fn may_have_ids(&self) -> bool {
        match &self.list {
            List::Here(ids) => ids.remaining() != Some(0),
            List::Awaited(_) => true,
            List::Ended => false,
        }
    }

    pub(super) fn has_ended(&self) -> bool {
        matches!(self.list, List::Ended)
    }

    /// Whether a task waits for the next id.
    pub(super) fn is_awaited(&self) -> bool {
        matches!(self.list, List::Awaited(_))
    }

    /// The unread ids that belong to the run, after [`stop`](Self::stop). A list that does not know its length may be endless.
    /// Its unread ids do not belong to the run.
    pub(super) fn into_rest(self) -> Option<IdStream<I>> {
        self.rest.filter(|_| self.counted > 0)
    }
}

#[cfg(test)]
mod tests {
    use std::{pin::Pin, task::Context};

    use futures_util::{Stream, stream};

    use super::*;

    /// Reads ids until there is none at hand.
    fn read_all(unread: &mut UnreadIds<i64>, recorder: &Recorder) -> Vec<i64> {
        let mut ids = Vec::new();
        while let Next::Give(id, _) = unread.read(recorder) {
            ids.push(id);
        }
        ids
    }

    #[test]
    fn a_list_that_knows_its_length_is_counted_at_once_and_only_once() {
        let recorder = Recorder::default();
        let mut unread = UnreadIds::new(IdStream::new(stream::iter(1..=3)), &recorder);
        assert_eq!(recorder.progress().requested, 3);
        assert_eq!(read_all(&mut unread, &recorder), [1, 2, 3]);
        assert_eq!(recorder.progress().requested, 3);
    }

    /// A list that says it has five ids, however many it has.
    struct FiveIds(Vec<i64>);

    impl Stream for FiveIds {
        type Item = i64;

        fn poll_next(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<i64>> {
            Poll::Ready(self.0.pop())
        }

        fn size_hint(&self) -> (usize, Option<usize>) {
            (5, Some(5))
        }
    }

    #[test]
    fn ids_that_a_list_has_announced_and_does_not_have_are_not_requested() {
        let recorder = Recorder::default();
        let mut unread = UnreadIds::new(IdStream::new(FiveIds(vec![2, 1])), &recorder);
        assert_eq!(recorder.progress().requested, 5);
        assert_eq!(read_all(&mut unread, &recorder), [1, 2]);
        assert_eq!((recorder.progress().requested, unread.counted), (2, 0));
    }

    #[test]
    fn ids_beyond_those_that_a_list_has_announced_are_read_and_counted() {
        let recorder = Recorder::default();
        let mut unread = UnreadIds::new(IdStream::new(FiveIds((1..=7).collect())), &recorder);
        assert_eq!(read_all(&mut unread, &recorder).len(), 7);
        assert_eq!(recorder.progress().requested, 7);
    }

    #[test]
    fn a_list_that_knows_its_length_has_ended_as_soon_as_its_last_id_is_read() {
        let recorder = Recorder::default();
        let empty = UnreadIds::<i64>::new(IdStream::list([]), &recorder);
        assert!(empty.has_ended());
        let mut unread = UnreadIds::new(IdStream::list([1]), &recorder);
        assert!(matches!(unread.read(&recorder), Next::Give(1, _)) && unread.has_ended());
        // A stream that never gives an id may say so, and stays open all the same.
        let quiet = UnreadIds::<i64>::new(IdStream::new(stream::pending()), &recorder);
        assert!(!quiet.has_ended());
    }

    #[test]
    fn a_list_without_a_known_length_is_counted_as_it_is_read() {
        let mut rest = 2;
        let ids = stream::poll_fn(move |_| {
            rest -= 1;
            Poll::Ready((rest >= 0).then_some(rest))
        });
        let recorder = Recorder::default();
        let mut unread = UnreadIds::new(IdStream::new(ids), &recorder);
        assert_eq!(recorder.progress().requested, 0);
        assert_eq!(read_all(&mut unread, &recorder), [1, 0]);
        assert_eq!(
            (recorder.progress().requested, unread.has_ended()),
            (2, true)
        );
    }
}
