//! Ids that wait to be read, the most urgent first. An id waits once, and is never read twice at the same time.

use std::{
    collections::{HashMap, HashSet, VecDeque},
    hash::Hash,
    ops::RangeInclusive,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Poll, Waker},
};

use futures_util::{Stream, stream};

/// A queue with several levels, of which level 0 is the most urgent. Clones are the same queue.
#[derive(Debug)]
pub(crate) struct IdQueue<I>(Arc<Mutex<State<I>>>);

#[derive(Debug)]
struct State<I> {
    /// An id that was moved to a more urgent level is left in its old one, and ignored there.
    levels: Vec<VecDeque<I>>,
    /// The ids that wait, and the level of each.
    waiting: HashMap<I, usize>,
    /// How many ids wait at each level.
    counts: Vec<usize>,
    /// The ids that are being read, and the level at which each is to wait afterwards: what a request answers may be older than
    /// the change that was announced meanwhile.
    being_read: HashMap<I, Option<usize>>,
    /// The ids whose reading has ended since they were last forgotten.
    finished: HashSet<I>,
    /// A level holds at most this many ids.
    capacity: usize,
    /// The streams that wait for ids.
    readers: Vec<Waker>,
}

/// What became of an id that was added.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Added {
    /// It waits now at this level, or will be read once more.
    Waits,
    /// It waits already at this level or a more urgent one, or is being read.
    WaitedAlready,
    /// The level is full.
    Refused,
}

impl<I> Clone for IdQueue<I> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<I: Clone + Eq + Hash + Send + 'static> IdQueue<I> {
    pub(crate) fn new(levels: usize, capacity: usize) -> Self {
        Self(Arc::new(Mutex::new(State {
            levels: (0..levels).map(|_| VecDeque::new()).collect(),
            waiting: HashMap::new(),
            counts: vec![0; levels],
            being_read: HashMap::new(),
            finished: HashSet::new(),
            capacity,
            readers: Vec::new(),
        })))
    }

    fn lock(&self) -> MutexGuard<'_, State<I>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds an id, behind those of its level. If it waits at a less urgent level, it moves. If it is being read, it is read once more
    /// afterwards.
    pub(crate) fn add(&self, level: usize, id: I) -> Added {
        self.lock().add(level, id)
    }

    /// Adds an id as [`add`](Self::add) does, unless it is being read.
    pub(crate) fn add_unless_being_read(&self, level: usize, id: I) -> Added {
        let mut state = self.lock();
        if state.being_read.contains_key(&id) {
            return Added::WaitedAlready;
        }
        state.add(level, id)
    }

    /// Adds an id as [`add`](Self::add) does, unless it is being read, or was read since [`forget_finished`](Self::forget_finished).
    pub(crate) fn add_unless_read(&self, level: usize, id: I) -> Added {
        let mut state = self.lock();
        if state.being_read.contains_key(&id) || state.finished.contains(&id) {
            return Added::WaitedAlready;
        }
        state.add(level, id)
    }

    /// Forgets which ids were read. To be called before the database is asked which ids are due: its answer may be older than the end of
    /// a reading that comes meanwhile.
    pub(crate) fn forget_finished(&self) {
        self.lock().finished.clear();
    }

    /// The reading of an id has ended.
    pub(crate) fn finish(&self, id: &I) {
        let mut state = self.lock();
        state.finished.insert(id.clone());
        if let Some(Some(level)) = state.being_read.remove(id) {
            state.add(level, id.clone());
        }
    }

    /// How many ids wait at a level.
    pub(crate) fn waiting_at(&self, level: usize) -> usize {
        self.lock().counts.get(level).copied().unwrap_or(0)
    }

    /// How many ids wait.
    pub(crate) fn waiting(&self) -> usize {
        self.lock().waiting.len()
    }

    /// The ids of these levels, the most urgent first. It never ends.
    pub(crate) fn stream(
        &self,
        levels: RangeInclusive<usize>,
    ) -> impl Stream<Item = I> + Send + use<I> {
        let queue = self.clone();
        stream::poll_fn(move |cx| {
            let mut state = queue.lock();
            let mut next = levels.clone();
            match next.find_map(|level| state.take(level)) {
                Some(id) => Poll::Ready(Some(id)),
                None => {
                    if !state
                        .readers
                        .iter()
                        .any(|reader| reader.will_wake(cx.waker()))
                    {
                        state.readers.push(cx.waker().clone());
                    }
                    Poll::Pending
                }
            }
        })
    }
}

impl<I: Clone + Eq + Hash> State<I> {
    fn add(&mut self, level: usize, id: I) -> Added {
        if let Some(again) = self.being_read.get_mut(&id) {
            let urgent = again.map_or(level, |again| again.min(level));
            *again = Some(urgent);
            return Added::Waits;
        }
        let before = self.waiting.get(&id).copied();
        if before.is_some_and(|before| before <= level) {
            return Added::WaitedAlready;
        }
        let Some(ids) = self
            .levels
            .get_mut(level)
            .filter(|ids| ids.len() < self.capacity)
        else {
            return Added::Refused;
        };
        ids.push_back(id.clone());
        self.counts[level] += 1;
        if let Some(before) = self.waiting.insert(id, level) {
            self.counts[before] -= 1;
        }
        self.wake();
        Added::Waits
    }

    fn take(&mut self, level: usize) -> Option<I> {
        let ids = self.levels.get_mut(level)?;
        let id = loop {
            let id = ids.pop_front()?;
            // Otherwise it was moved.
            if self.waiting.get(&id) == Some(&level) {
                break id;
            }
        };
        self.waiting.remove(&id);
        self.counts[level] -= 1;
        self.being_read.insert(id.clone(), None);
        Some(id)
    }

    fn wake(&mut self) {
        self.readers.drain(..).for_each(Waker::wake);
    }
}

#[cfg(test)]
mod tests {
    use futures_util::{FutureExt, StreamExt};

    use super::*;

    fn ready(ids: &mut (impl Stream<Item = i64> + Unpin)) -> Vec<i64> {
        let mut ready = Vec::new();
        while let Some(Some(id)) = ids.next().now_or_never() {
            ready.push(id);
        }
        ready
    }

    #[test]
    fn the_most_urgent_ids_come_first_and_each_once() {
        let queue = IdQueue::new(3, 10);
        for (level, id) in [(2, 1), (1, 2), (0, 3), (1, 4), (2, 2)] {
            queue.add(level, id);
        }
        assert_eq!(queue.waiting(), 4);
        let mut all = queue.stream(0..=2);
        assert_eq!(ready(&mut all), [3, 2, 4, 1]);
        assert_eq!(queue.waiting(), 0);
    }

    #[test]
    fn an_id_that_was_read_while_the_database_was_asked_is_not_read_again() {
        let queue = IdQueue::new(2, 10);
        let mut ids = queue.stream(0..=1);
        for id in [1, 2, 3] {
            queue.add(0, id);
        }
        assert_eq!(ready(&mut ids), [1, 2, 3]);
        queue.finish(&1);
        queue.forget_finished();
        queue.finish(&2);
        for id in [1, 2, 3, 4] {
            queue.add_unless_read(1, id);
        }
        assert_eq!(ready(&mut ids), [1, 4]);
    }

    #[test]
    fn an_id_that_becomes_more_urgent_moves_and_is_read_once() {
        let queue = IdQueue::new(3, 10);
        for (level, id) in [(2, 1), (2, 2), (1, 3), (0, 2), (2, 2), (1, 1)] {
            queue.add(level, id);
        }
        assert_eq!([0, 1, 2].map(|level| queue.waiting_at(level)), [1, 2, 0]);
        let mut all = queue.stream(0..=2);
        assert_eq!(ready(&mut all), [2, 3, 1]);
        assert_eq!([0, 1, 2].map(|level| queue.waiting_at(level)), [0; 3]);
        assert_eq!(queue.waiting(), 0);
    }

    #[test]
    fn a_stream_gives_only_the_ids_of_its_levels() {
        let queue = IdQueue::new(2, 10);
        queue.add(0, 1);
        queue.add(1, 2);
        assert_eq!(ready(&mut queue.stream(1..=1)), [2]);
        assert_eq!(ready(&mut queue.stream(0..=0)), [1]);
    }

    #[test]
    fn an_id_that_is_added_while_it_is_read_is_read_again_afterwards() {
        let queue = IdQueue::new(2, 10);
        let mut ids = queue.stream(0..=1);
        queue.add(0, 7);
        assert_eq!(ready(&mut ids), [7]);
        assert_eq!(queue.add(1, 7), Added::Waits);
        assert!(ready(&mut ids).is_empty());
        queue.finish(&7);
        assert_eq!(ready(&mut ids), [7]);
        queue.finish(&7);
        assert!(ready(&mut ids).is_empty());
    }

    #[test]
    fn a_full_level_refuses_and_the_others_do_not() {
        let queue = IdQueue::new(2, 2);
        assert_eq!(
            [1, 2, 3, 2].map(|id| queue.add(0, id)),
            [
                Added::Waits,
                Added::Waits,
                Added::Refused,
                Added::WaitedAlready
            ]
        );
        assert_eq!(queue.add(1, 3), Added::Waits);
    }

    #[actix_rt::test]
    async fn a_waiting_stream_wakes_for_an_id() {
        let queue = IdQueue::new(1, 10);
        let mut ids = queue.stream(0..=0);
        let reading = actix_rt::spawn(async move { ids.next().await });
        tokio::task::yield_now().await;
        queue.add(0, 5);
        assert_eq!(reading.await.expect("no panic"), Some(5));
    }
}
