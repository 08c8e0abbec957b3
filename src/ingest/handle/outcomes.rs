//! The channel through which a host learns what became of each id.

use std::{
    fmt,
    pin::Pin,
    task::{Context, Poll},
};

use futures_util::Stream;
use tokio::sync::mpsc;

use crate::ingest::outcome::id_outcome::IdResult;

/// What became of the ids of a run: a stream of batches. Each id comes once for each time that it is in the list, after its
/// commit.
///
/// The run waits for its reader: while a batch is not read, no further ids are handed out. So read it until it ends, and await
/// the [`Run`](crate::Run) beside or after that. If it is dropped, the run goes on without it.
///
/// It ends after the run. Ids without an outcome come last, as [`NotAttempted`](crate::IdOutcome::NotAttempted). Of the unread
/// ids, only those of a list that knows its length and need not be waited for are among them, so fewer ids may come than were
/// requested. It ends early if the pipeline stops before the run is over. A pipeline on [its own
/// thread](crate::Builder::own_thread) keeps the thread until all is read or this is dropped.
pub struct Outcomes<I>(mpsc::Receiver<Vec<IdResult<I>>>);

pub(crate) type OutcomeSender<I> = mpsc::Sender<Vec<IdResult<I>>>;

/// A channel that holds one batch.
pub(crate) fn outcomes<I>() -> (OutcomeSender<I>, Outcomes<I>) {
    let (sender, receiver) = mpsc::channel(1);
    (sender, Outcomes(receiver))
}

impl<I> Outcomes<I> {
    /// Waits for the next batch. `None` after the end of the run.
    pub async fn next_batch(&mut self) -> Option<Vec<IdResult<I>>> {
        self.0.recv().await
    }
}

impl<I> Stream for Outcomes<I> {
    type Item = Vec<IdResult<I>>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.0.poll_recv(cx)
    }
}

impl<I> fmt::Debug for Outcomes<I> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Outcomes").finish_non_exhaustive()
    }
}
