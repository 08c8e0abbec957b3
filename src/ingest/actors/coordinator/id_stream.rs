//! The ids of a run, pulled one by one.

use std::{
    fmt,
    panic::{AssertUnwindSafe, catch_unwind},
    pin::Pin,
};

use futures_util::{FutureExt, Stream, StreamExt};

use crate::ingest::outcome::panic_message;

/// A list of ids that is read only as fast as they are fetched. It is the host's code, whose panics stay here.
pub(crate) struct Feed<I>(Pin<Box<dyn Stream<Item = I> + Send>>);

/// What a look into the feed shows.
pub(crate) enum Pulled<I> {
    Id(I),
    /// There is none yet.
    NotYet,
    End,
    /// The list's code panicked, with this message; nothing more comes of it.
    Panicked(String),
}

impl<I> Feed<I> {
    pub(crate) fn new(ids: impl Stream<Item = I> + Send + 'static) -> Self {
        Self(Box::pin(ids.fuse()))
    }

    /// The next id if there is one now.
    pub(crate) fn pull(&mut self) -> Pulled<I> {
        match catch_unwind(AssertUnwindSafe(|| self.0.next().now_or_never())) {
            Ok(Some(Some(id))) => Pulled::Id(id),
            Ok(Some(None)) => Pulled::End,
            Ok(None) => Pulled::NotYet,
            Err(panic) => Pulled::Panicked(panic_message(&*panic)),
        }
    }

    /// Waits for the next id.
    pub(crate) async fn wait(mut self) -> (Self, Pulled<I>) {
        let pulled = match AssertUnwindSafe(self.0.next()).catch_unwind().await {
            Ok(Some(id)) => Pulled::Id(id),
            Ok(None) => Pulled::End,
            Err(panic) => Pulled::Panicked(panic_message(&*panic)),
        };
        (self, pulled)
    }

    /// Whether the list tells how long it is.
    pub(crate) fn knows_its_length(&self) -> bool {
        self.rest().is_some()
    }

    /// How many ids are still to come, where the list knows its length; 0 where it does not.
    pub(crate) fn known_rest(&self) -> u64 {
        self.rest().unwrap_or(0) as u64
    }

    fn rest(&self) -> Option<usize> {
        match catch_unwind(AssertUnwindSafe(|| self.0.size_hint())) {
            Ok((rest, Some(most))) if rest == most => Some(rest),
            _ => None,
        }
    }
}

impl<I> fmt::Debug for Feed<I> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Feed").finish_non_exhaustive()
    }
}
