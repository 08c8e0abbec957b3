//! The bound on the backlog: the records that are fetched and not yet committed.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// A batch is full at this many bytes of bodies, even if it has few rows.
pub(crate) const BATCH_BYTES: usize = 8 * 1024 * 1024;

/// The backlog holds this many batches: one that is being written, and one that fills meanwhile.
const BATCHES: usize = 2;

/// Room for two batches of a run, in rows and in bytes of bodies. Clones share it.
///
/// While there is no room for its answer, a fetcher keeps the answer and takes no other id. This is the back-pressure of a slow
/// database. A large body is not read before there is room for it.
#[derive(Clone)]
pub(crate) struct Backlog {
    /// A permit for each row.
    rows: Arc<Semaphore>,
    /// A permit for each byte of a body.
    bytes: Arc<Semaphore>,
}

/// The room that a body takes in the backlog. Dropping this after the commit gives the room back.
#[derive(Debug, Default)]
pub(crate) struct BytesPermit(Option<OwnedSemaphorePermit>);

/// The room that a row takes in the backlog. Dropping this after the commit gives the room back.
#[derive(Debug, Default)]
pub(crate) struct RowPermit(Option<OwnedSemaphorePermit>);

// The semaphores are never closed, so acquiring cannot fail.
impl Backlog {
    /// Room for batches of `batch_rows` rows.
    pub(crate) fn new(batch_rows: usize) -> Self {
        Self {
            rows: Arc::new(Semaphore::new(BATCHES * batch_rows)),
            bytes: Arc::new(Semaphore::new(BATCHES * BATCH_BYTES)),
        }
    }

    /// Waits for room for a body. A body larger than the whole backlog takes all of it.
    pub(crate) async fn acquire_bytes(&self, count: usize) -> BytesPermit {
        match u32::try_from(count.min(BATCHES * BATCH_BYTES)) {
            Ok(0) | Err(_) => BytesPermit(None),
            Ok(count) => BytesPermit(self.bytes.clone().acquire_many_owned(count).await.ok()),
        }
    }

    /// Takes room for a row. `None` if there is no room, or if fetchers wait for it.
    pub(crate) fn try_acquire_row(&self) -> Option<RowPermit> {
        let permit = self.rows.clone().try_acquire_owned();
        permit.ok().map(|permit| RowPermit(Some(permit)))
    }

    /// Waits for room for a row.
    pub(crate) async fn acquire_row(&self) -> RowPermit {
        RowPermit(self.rows.clone().acquire_owned().await.ok())
    }
}

impl BytesPermit {
    /// Gives back the room that the body does not need.
    pub(crate) fn shrink_to(&mut self, count: usize) {
        if let Some(permit) = &mut self.0 {
            drop(permit.split(permit.num_permits().saturating_sub(count)));
        }
    }
}

/// The permits of one batch. They are merged, and given back on the arbiter: given back one by one or on another thread, each would
/// wake the arbiter for one fetcher that waits for room.
#[derive(Debug, Default)]
pub(crate) struct BatchPermit {
    rows: RowPermit,
    bytes: BytesPermit,
}

impl BatchPermit {
    pub(crate) fn add_row(&mut self, permit: RowPermit) {
        merge(&mut self.rows.0, permit.0);
    }

    pub(crate) fn add_bytes(&mut self, permit: BytesPermit) {
        merge(&mut self.bytes.0, permit.0);
    }
}

fn merge(sum: &mut Option<OwnedSemaphorePermit>, more: Option<OwnedSemaphorePermit>) {
    match (sum.as_mut(), more) {
        (Some(sum), Some(more)) => sum.merge(more),
        (None, more) => *sum = more,
        (Some(_), None) => {}
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    #[test]
    fn two_batches_of_rows_have_room_and_the_next_waits_for_a_commit() {
        let backlog = Backlog::new(3);
        let mut batch = BatchPermit::default();
        for _ in 0..6 {
            batch.add_row(backlog.acquire_row().now_or_never().expect("room"));
        }
        assert!(backlog.acquire_row().now_or_never().is_none());
        drop(batch);
        assert!(backlog.acquire_row().now_or_never().is_some());
    }

    #[test]
    fn bodies_share_sixteen_mebibytes_and_give_back_the_room_that_they_do_not_need() {
        let backlog = Backlog::new(500);
        let mut large = backlog
            .acquire_bytes(2 * BATCH_BYTES)
            .now_or_never()
            .expect("room");
        assert!(backlog.acquire_bytes(1).now_or_never().is_none());
        large.shrink_to(BATCH_BYTES);
        assert!(backlog.acquire_bytes(BATCH_BYTES).now_or_never().is_some());
    }

    #[test]
    fn a_body_larger_than_the_backlog_waits_for_all_of_it() {
        let backlog = Backlog::new(500);
        let small = backlog.acquire_bytes(1).now_or_never().expect("room");
        assert!(backlog.acquire_bytes(usize::MAX).now_or_never().is_none());
        drop(small);
        assert!(backlog.acquire_bytes(usize::MAX).now_or_never().is_some());
    }

    #[test]
    fn a_body_without_bytes_needs_no_room() {
        let backlog = Backlog::new(1);
        let _all = backlog.acquire_bytes(usize::MAX).now_or_never();
        assert!(backlog.acquire_bytes(0).now_or_never().is_some());
    }
}
