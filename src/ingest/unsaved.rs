//! The bound on what has been fetched and is not yet committed: two batches' rows, or 16 MiB of bodies.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// A batch is full at this many bytes of bodies, whatever its rows.
pub(crate) const BATCH_BYTES: usize = 8 * 1024 * 1024;

const BATCHES: usize = 2;

/// Room for two batches: one that is written and one that fills. A fetcher keeps its answer until there is room, and takes no
/// other id meanwhile.
pub(crate) struct Unsaved {
    rows: Arc<Semaphore>,
    bytes: Arc<Semaphore>,
    rows_max: usize,
}

/// Room for one answer, given back when this is dropped, which is after its commit.
#[derive(Debug)]
pub(crate) struct Room {
    _row: Option<OwnedSemaphorePermit>,
    _bytes: Option<OwnedSemaphorePermit>,
}

impl Unsaved {
    pub(crate) fn new(batch_rows: usize) -> Self {
        let rows_max = BATCHES * batch_rows;
        Self {
            rows: Arc::new(Semaphore::new(rows_max)),
            bytes: Arc::new(Semaphore::new(BATCHES * BATCH_BYTES)),
            rows_max,
        }
    }

    /// Waits for room for one row with a body of `bytes`. A body larger than all the room there is takes all of it.
    pub(crate) async fn room(&self, bytes: usize) -> Room {
        // The semaphores are never closed, so a permit always comes.
        let bytes = match u32::try_from(bytes.min(BATCHES * BATCH_BYTES)) {
            Ok(0) | Err(_) => None,
            Ok(bytes) => self.bytes.clone().acquire_many_owned(bytes).await.ok(),
        };
        let row = self.rows.clone().acquire_owned().await.ok();
        Room {
            _row: row,
            _bytes: bytes,
        }
    }

    /// Rows that have room at this moment.
    pub(crate) fn rows(&self) -> usize {
        self.rows_max - self.rows.available_permits()
    }
}
