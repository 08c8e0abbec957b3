//! The ids of a run, pulled one by one.

use std::{fmt, pin::Pin};

use futures_util::{FutureExt, Stream, StreamExt};

/// A list of ids that is read only as fast as they are fetched.
pub(crate) struct Feed<I>(Pin<Box<dyn Stream<Item = I> + Send>>);

/// What a look into the feed shows.
pub(crate) enum Pulled<I> {
    Id(I),
    /// There is none yet.
    NotYet,
    End,
}

impl<I> Feed<I> {
    pub(crate) fn new(ids: impl Stream<Item = I> + Send + 'static) -> Self {
        Self(Box::pin(ids.fuse()))
    }

    /// The next id if there is one now.
    pub(crate) fn pull(&mut self) -> Pulled<I> {
        match self.0.next().now_or_never() {
            Some(Some(id)) => Pulled::Id(id),
            Some(None) => Pulled::End,
            None => Pulled::NotYet,
        }
    }

    /// Waits for the next id.
    pub(crate) async fn wait(mut self) -> (Self, Option<I>) {
        let id = self.0.next().await;
        (self, id)
    }

    /// Whether the list tells how long it is.
    pub(crate) fn knows_its_length(&self) -> bool {
        matches!(self.0.size_hint(), (rest, Some(most)) if rest == most)
    }

    /// How many ids are still to come, where the list knows its length; 0 where it does not.
    pub(crate) fn known_rest(&self) -> u64 {
        match self.0.size_hint() {
            (rest, Some(most)) if rest == most => rest as u64,
            _ => 0,
        }
    }
}

impl<I> fmt::Debug for Feed<I> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Feed").finish_non_exhaustive()
    }
}
