//! The bound on what has been fetched and is not yet committed: two batches' rows, or 16 MiB of bodies.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// A batch is full at this many bytes of bodies, whatever its rows.
pub(crate) const BATCH_BYTES: usize = 8 * 1024 * 1024;

const BATCHES: usize = 2;

/// Room for two batches: one that is written and one that fills. A fetcher whose answer has no room keeps it, and takes no other
/// id meanwhile; a large body is not even read before there is room for it.
pub(crate) struct Unsaved {
    rows: Arc<Semaphore>,
    bytes: Arc<Semaphore>,
}

/// Room for a body, given back when this is dropped, which is after its commit.
#[derive(Debug, Default)]
pub(crate) struct BytesRoom(Option<OwnedSemaphorePermit>);

/// Room for a row, given back when this is dropped, which is after its commit.
#[derive(Debug, Default)]
pub(crate) struct RowRoom(Option<OwnedSemaphorePermit>);

// The semaphores are never closed, so a permit always comes.
impl Unsaved {
    pub(crate) fn new(batch_rows: usize) -> Self {
        Self {
            rows: Arc::new(Semaphore::new(BATCHES * batch_rows)),
            bytes: Arc::new(Semaphore::new(BATCHES * BATCH_BYTES)),
        }
    }

    /// Waits for room for a body. One that is larger than all the room there is takes all of it.
    pub(crate) async fn bytes(&self, count: usize) -> BytesRoom {
        match u32::try_from(count.min(BATCHES * BATCH_BYTES)) {
            Ok(0) | Err(_) => BytesRoom(None),
            Ok(count) => BytesRoom(self.bytes.clone().acquire_many_owned(count).await.ok()),
        }
    }

    /// Waits for room for a row.
    pub(crate) async fn row(&self) -> RowRoom {
        RowRoom(self.rows.clone().acquire_owned().await.ok())
    }
}

/// The rooms of a batch, given back in one go.
#[derive(Debug, Default)]
pub(crate) struct BatchRoom {
    rows: RowRoom,
    bytes: BytesRoom,
}

impl BatchRoom {
    pub(crate) fn add_row(&mut self, room: RowRoom) {
        join(&mut self.rows.0, room.0);
    }

    pub(crate) fn add_bytes(&mut self, room: BytesRoom) {
        join(&mut self.bytes.0, room.0);
    }
}

fn join(sum: &mut Option<OwnedSemaphorePermit>, more: Option<OwnedSemaphorePermit>) {
    match (sum.as_mut(), more) {
        (Some(sum), Some(more)) => sum.merge(more),
        (None, more) => *sum = more,
        (Some(_), None) => {}
    }
}

impl BytesRoom {
    /// Gives back what the body did not need.
    pub(crate) fn shrink_to(&mut self, count: usize) {
        if let Some(permit) = &mut self.0 {
            drop(permit.split(permit.num_permits().saturating_sub(count)));
        }
    }
}
