//! Reports to the host what became of each id of a run, if it wants to know.

use std::{collections::HashMap, mem, task::Poll};

use tokio::sync::mpsc::error::TrySendError;

use super::id_stream::IdStream;
use crate::ingest::{
    actors::arbiter::PipelineArbiter,
    handle::outcomes::OutcomeSender,
    outcome::id_outcome::{IdOutcome, IdResult},
};

/// The unread ids of a list are reported in batches of this size.
const UNREAD_BATCH: usize = 500;

/// See the [module](self). Without a reader it keeps nothing.
pub(super) struct OutcomeLog<I> {
    /// `None` if there is no reader, or none any more.
    sender: Option<OutcomeSender<I>>,
    /// Copies of the ids that were answered and are not settled, by the numbers of their answers.
    pub(super) answered: HashMap<u64, I>,
    /// Results that the channel had no room for.
    pub(super) unsent: Vec<IdResult<I>>,
}

impl<I: Send + 'static> OutcomeLog<I> {
    pub(super) fn new(sender: Option<OutcomeSender<I>>) -> Self {
        Self {
            sender,
            answered: HashMap::new(),
            unsent: Vec::new(),
        }
    }

    /// Remembers the id of an answer until it is settled.
    pub(super) fn note_answered(&mut self, number: u64, id: Option<I>) {
        if let Some(id) = id.filter(|_| self.sender.is_some()) {
            self.answered.insert(number, id);
        }
    }

    /// An answered id is to be tried again.
    pub(super) fn forget(&mut self, number: u64) {
        self.answered.remove(&number);
    }

    /// An answered id is settled.
    pub(super) fn report_answered(&mut self, number: u64, outcome: IdOutcome) {
        if let Some(id) = self.answered.remove(&number) {
            self.report(id, outcome);
        }
    }

    pub(super) fn report(&mut self, id: I, outcome: IdOutcome) {
        if self.sender.is_some() {
            self.unsent.push(IdResult { id, outcome });
        }
    }

    /// Sends what is unsent. Returns whether that was possible.
    pub(super) fn send(&mut self) -> bool {
        let Some(sender) = self.sender.as_ref().filter(|_| !self.unsent.is_empty()) else {
            return true;
        };
        match sender.try_send(mem::take(&mut self.unsent)) {
            Ok(()) => true,
            Err(TrySendError::Full(unsent)) => {
                self.unsent = unsent;
                false
            }
            Err(TrySendError::Closed(_)) => {
                self.sender = None;
                self.answered.clear();
                true
            }
        }
    }

    /// Waits until the reader has read a batch, or is gone.
    pub(super) fn has_room(&self) -> impl Future<Output = ()> + 'static + use<I> {
        let sender = self.sender.clone();
        async move {
            if let Some(sender) = sender {
                // It fails if the reader is gone. The next `send` notices that, too.
                let _ = sender.reserve().await;
            }
        }
    }

    /// Reports what was not attempted: the answered ids that are not settled, and what is left of the list without waiting for
    /// it. A task of its own sends it, because the reader may be slow and the run is over. The pipeline's own thread lives as
    /// long as that task.
    pub(super) fn finish(mut self, mut unread: Option<IdStream<I>>, arbiter: PipelineArbiter) {
        let Some(sender) = self.sender.take() else {
            return;
        };
        let not_attempted = |id| IdResult {
            id,
            outcome: IdOutcome::NotAttempted,
        };
        let left = self.answered.into_values().map(not_attempted);
        self.unsent.extend(left);
        actix_rt::spawn(async move {
            let _arbiter = arbiter;
            let mut batch = self.unsent;
            // An id that is not there yet may never come, so it is not waited for.
            while let Some(Poll::Ready(Some(Ok(id)))) = unread.as_mut().map(IdStream::poll_now) {
                batch.push(not_attempted(id));
                if batch.len() >= UNREAD_BATCH && sender.send(mem::take(&mut batch)).await.is_err()
                {
                    return;
                }
            }
            if !batch.is_empty() {
                // This fails if the reader is gone.
                let _ = sender.send(batch).await;
            }
        });
    }
}
