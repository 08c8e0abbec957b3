//! The ids that events have announced and that wait to be read as the list of a run.

use std::{
    collections::{HashSet, VecDeque},
    fmt,
    hash::Hash,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use futures_util::{Stream, stream};
use tokio::sync::Notify;

use crate::ingest::{handle::event_watch::EventRecorder, source::Id};

/// When this many ids wait, no further event is read. One event may bring more ids than this leaves room for.
pub(crate) const WAITING_MAX: usize = 10_000;

/// See the [module](self). An id that waits already is not added once more. One that was read is: its record may have changed
/// since.
///
/// Not every pipeline has ids that can be compared, but the host that starts such a run does. So it gives the functions of the set.
pub(crate) struct WaitingIds<I> {
    state: Mutex<State<I>>,
    insert: fn(&mut HashSet<I>, I) -> bool,
    remove: fn(&mut HashSet<I>, &I) -> bool,
    /// Wakes the reader when there is something to read.
    has_next: Notify,
    /// Wakes the task that adds ids when there is room again.
    has_room: Notify,
}

struct State<I> {
    /// In the order of their announcements.
    ids: VecDeque<I>,
    /// The same ids.
    distinct: HashSet<I>,
    /// Why no more ids will be announced.
    end: Option<String>,
}

/// What a run of announced ids begins with.
#[derive(Debug)]
pub(crate) struct EventFeed<I> {
    /// Where the ids go.
    pub(crate) waiting: Arc<WaitingIds<I>>,
    /// What the host learns of the stream.
    pub(crate) recorder: EventRecorder,
}

impl<I: Id + Eq + Hash> WaitingIds<I> {
    pub(crate) fn new() -> Self {
        Self {
            state: Mutex::new(State {
                ids: VecDeque::new(),
                distinct: HashSet::new(),
                end: None,
            }),
            insert: HashSet::insert,
            remove: HashSet::remove,
            has_next: Notify::new(),
            has_room: Notify::new(),
        }
    }
}

impl<I: Id> WaitingIds<I> {
    /// Adds an id, unless it waits already. A panic of the id's code leaves it out.
    pub(crate) fn add(&self, id: I) {
        let mut state = self.lock();
        if (self.insert)(&mut state.distinct, id.clone()) {
            state.ids.push_back(id);
            self.has_next.notify_one();
        }
    }

    /// No more ids will be announced, for this reason.
    pub(crate) fn end(&self, why: String) {
        self.lock().end.get_or_insert(why);
        self.has_next.notify_one();
    }

    /// Waits until fewer than [`WAITING_MAX`] ids wait.
    pub(crate) async fn room(&self) {
        while self.lock().ids.len() >= WAITING_MAX {
            self.has_room.notified().await;
        }
    }

    /// The ids as a list. After the last one comes the reason why there are no more.
    pub(crate) fn read(self: Arc<Self>) -> impl Stream<Item = Result<I, String>> + Send + 'static {
        stream::unfold(self, |waiting| async move {
            loop {
                if let Some(next) = waiting.take() {
                    return Some((next, waiting));
                }
                waiting.has_next.notified().await;
            }
        })
    }

    /// The next id, or why there are no more, if that is known now.
    fn take(&self) -> Option<Result<I, String>> {
        let mut state = self.lock();
        let Some(id) = state.ids.pop_front() else {
            return state.end.clone().map(Err);
        };
        (self.remove)(&mut state.distinct, &id);
        if state.ids.len() == WAITING_MAX - 1 {
            self.has_room.notify_one();
        }
        Some(Ok(id))
    }

    /// A panic of an id's code while the lock was held left nothing half done.
    fn lock(&self) -> MutexGuard<'_, State<I>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<I> fmt::Debug for WaitingIds<I> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WaitingIds").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use futures_util::{FutureExt, StreamExt};

    use super::*;

    fn waiting(ids: impl IntoIterator<Item = i64>) -> Arc<WaitingIds<i64>> {
        let waiting = Arc::new(WaitingIds::new());
        ids.into_iter().for_each(|id| waiting.add(id));
        waiting
    }

    /// The ids that are there now.
    fn read_all(ids: &mut (impl Stream<Item = Result<i64, String>> + Unpin)) -> Vec<i64> {
        let mut read = Vec::new();
        while let Some(Some(Ok(id))) = ids.next().now_or_never() {
            read.push(id);
        }
        read
    }

    #[test]
    fn an_id_waits_once_and_may_wait_again_after_it_was_read() {
        let waiting = waiting([3, 1, 3, 2, 1]);
        let mut ids = Box::pin(waiting.clone().read());
        assert_eq!(read_all(&mut ids), [3, 1, 2]);
        waiting.add(3);
        assert_eq!(read_all(&mut ids), [3]);
    }

    #[test]
    fn after_the_last_id_comes_the_reason() {
        let waiting = waiting([1]);
        waiting.end("the server has no event stream".to_owned());
        waiting.end("another reason".to_owned());
        let mut ids = Box::pin(waiting.read());
        let all = [(); 2].map(|()| ids.next().now_or_never());
        let why = "the server has no event stream".to_owned();
        assert_eq!(all, [Some(Some(Ok(1))), Some(Some(Err(why)))]);
    }

    #[tokio::test]
    async fn a_reader_that_waits_is_woken_by_an_id_and_by_the_end() {
        let waiting = waiting([]);
        let mut ids = Box::pin(waiting.clone().read());
        let (read, ()) = tokio::join!(ids.next(), async { waiting.add(7) });
        assert_eq!(read, Some(Ok(7)));
        let end = async { waiting.end("over".to_owned()) };
        let (read, ()) = tokio::join!(ids.next(), end);
        assert_eq!(read, Some(Err("over".to_owned())));
    }

    #[tokio::test]
    async fn there_is_no_room_beyond_the_bound_until_an_id_is_read() {
        let waiting = waiting(0..WAITING_MAX as i64 - 1);
        assert!(waiting.room().now_or_never().is_some());
        waiting.add(-1);
        assert!(waiting.room().now_or_never().is_none());
        // One event may bring more than there is room for.
        waiting.add(-2);
        let mut ids = Box::pin(waiting.clone().read());
        let mut room = Box::pin(waiting.room());
        assert!(ids.next().await.is_some() && room.as_mut().now_or_never().is_none());
        assert!(ids.next().await.is_some() && room.as_mut().now_or_never().is_some());
    }

    #[test]
    fn two_hundred_thousand_announcements_leave_nothing_behind() {
        let waiting = waiting([]);
        let mut ids = Box::pin(waiting.clone().read());
        for number in 0..200_000 {
            waiting.add(number);
            waiting.add(number / 2);
            while let Some(Some(Ok(_))) = ids.next().now_or_never() {}
        }
        let state = waiting.lock();
        assert!(state.ids.is_empty() && state.distinct.is_empty());
        assert!(state.ids.capacity() < 100 && state.distinct.capacity() < 100);
    }
}
