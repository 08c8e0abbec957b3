//! The list or stream of a run's ids. It is the host's code; its panics are caught here.

use std::{fmt, mem, pin::Pin, task::Poll};

use futures_util::{FutureExt, Stream, StreamExt, stream};
use log::warn;

use crate::ingest::outcome::panics::{catch, catch_async};

/// The ids of a run. They are read one by one, only as fast as they are fetched.
pub(crate) struct IdStream<I> {
    ids: Pin<Box<dyn Stream<Item = Result<I, String>> + Send>>,
    /// Whether they are a list, which never makes its reader wait.
    is_list: bool,
}

/// The next id of a stream; `None` at its end. An error says why the stream ended too early. After that, it must not be polled
/// again.
pub(crate) type NextId<I> = Option<Result<I, String>>;

impl<I: 'static> IdStream<I> {
    pub(crate) fn new(ids: impl Stream<Item = I> + Send + 'static) -> Self {
        Self::that_may_fail(ids.map(Ok))
    }

    /// A stream whose error says why there are no more ids.
    pub(crate) fn that_may_fail(
        ids: impl Stream<Item = Result<I, String>> + Send + 'static,
    ) -> Self {
        Self {
            ids: Box::pin(ids.fuse()),
            is_list: false,
        }
    }

    pub(crate) fn list<L>(ids: L) -> Self
    where
        L: IntoIterator<Item = I>,
        L::IntoIter: Send + 'static,
    {
        let mut list = Self::new(stream::iter(ids));
        list.is_list = true;
        list
    }
}

impl<I> IdStream<I> {
    /// Whether it is a list that knows that it has no more ids.
    pub(crate) fn is_empty_list(&self) -> bool {
        self.is_list && self.remaining() == Some(0)
    }

    /// Polls the stream once, without waiting.
    pub(crate) fn poll_now(&mut self) -> Poll<NextId<I>> {
        match catch(|| self.ids.next().now_or_never()) {
            Ok(Some(next)) => Poll::Ready(next),
            Ok(None) => Poll::Pending,
            Err(panic) => Poll::Ready(Some(Err(panic))),
        }
    }

    /// Waits for the next id. Takes the stream, and returns it with the result.
    pub(crate) async fn wait(mut self) -> (Self, NextId<I>) {
        let next = catch_async(self.ids.next()).await;
        (self, next.unwrap_or_else(|panic| Some(Err(panic))))
    }

    /// How many ids are still to come, if the stream knows.
    pub(crate) fn remaining(&self) -> Option<u64> {
        match catch(|| self.ids.size_hint()) {
            Ok((least, Some(most))) if least == most => Some(least as u64),
            _ => None,
        }
    }
}

impl<I> Drop for IdStream<I> {
    fn drop(&mut self) {
        let nothing = stream::poll_fn(|_| Poll::Ready(None));
        let ids = mem::replace(&mut self.ids, Box::pin(nothing));
        if catch(|| drop(ids)).is_err() {
            warn!("dropping a list of ids panicked");
        }
    }
}

impl<I> fmt::Debug for IdStream<I> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("IdStream").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(id: i64) -> Poll<NextId<i64>> {
        Poll::Ready(Some(Ok(id)))
    }

    fn failed(why: &str) -> Poll<NextId<i64>> {
        Poll::Ready(Some(Err(why.to_owned())))
    }

    #[test]
    fn a_list_is_read_to_its_end_and_knows_its_length() {
        let mut ids = IdStream::new(stream::iter([1, 2]));
        assert_eq!(ids.remaining(), Some(2));
        let polled = [(); 3].map(|()| ids.poll_now());
        assert_eq!(polled, [id(1), id(2), Poll::Ready(None)]);
        assert_eq!(ids.poll_now(), Poll::Ready(None));
    }

    #[test]
    fn a_stream_without_an_id_is_pending_and_knows_no_length() {
        let mut ids = IdStream::new(stream::poll_fn(|_| Poll::<Option<i64>>::Pending));
        assert_eq!(ids.remaining(), None);
        assert_eq!(ids.poll_now(), Poll::Pending);
    }

    #[test]
    fn the_error_of_a_stream_that_may_fail_is_a_message_after_its_ids() {
        let mut ids = IdStream::that_may_fail(stream::iter([Ok(1), Err("gone".to_owned())]));
        let polled = [(); 2].map(|()| ids.poll_now());
        assert_eq!(polled, [id(1), failed("gone")]);
    }

    #[test]
    fn a_panic_of_the_stream_is_a_message() {
        let mut ids = IdStream::new(stream::iter((1..3).inspect(|id| assert!(*id < 2, "bad"))));
        assert_eq!(ids.poll_now(), id(1));
        assert_eq!(ids.poll_now(), failed("bad"));
    }
}
