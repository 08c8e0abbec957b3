//! Reads the body of an answer, up to the largest size that is allowed.

use std::time::Duration;

use futures_util::FutureExt;
use tokio::time::timeout;

use crate::ingest::http::{error::AttemptError, pool::PooledConnection};

/// The body of an error is read to its end, so that the connection can be used again. For more bytes than this, a new connection
/// is cheaper.
const DISCARD_MAX: usize = 64 * 1024;

/// If reading the body of an error takes longer than this, a new connection is cheaper.
const DISCARD_TIME: Duration = Duration::from_millis(100);

/// A body that is being read.
///
/// Its parts are copied into memory of its own. Each part that hyper returns keeps a whole read buffer alive, which is much
/// larger than most records.
pub(super) struct Body {
    /// Where the rest of the body comes from. `None` once the body is whole: then the connection is back in the pool.
    connection: Option<PooledConnection>,
    /// What was read so far.
    pub(super) bytes: Vec<u8>,
    /// The length of the whole body, if the head named it.
    announced: Option<usize>,
    /// The largest allowed length.
    limit: usize,
}

impl Body {
    /// The body that follows the head that `connection` has read.
    ///
    /// # Errors
    /// The announced length is over the limit.
    pub(super) fn new(connection: PooledConnection, limit: usize) -> Result<Self, AttemptError> {
        let announced = connection
            .http
            .announced_len()
            .map(|length| usize::try_from(length).unwrap_or(usize::MAX));
        if announced.is_some_and(|length| length > limit) {
            return Err(AttemptError::TooLarge { limit });
        }
        Ok(Self {
            connection: Some(connection),
            bytes: Vec::new(),
            announced,
            limit,
        })
    }

    /// Reads until at least `length` bytes are there or the body is whole.
    pub(super) async fn read_until(&mut self, length: usize) -> Result<(), AttemptError> {
        while self.bytes.len() < length
            && let Some(connection) = &mut self.connection
        {
            match connection.http.next_part().await? {
                Some(part) => self.append(&part)?,
                None => self
                    .connection
                    .take()
                    .into_iter()
                    .for_each(PooledConnection::release),
            }
        }
        Ok(())
    }

    fn append(&mut self, part: &[u8]) -> Result<(), AttemptError> {
        let needed = self.bytes.len() + part.len();
        if needed > self.limit {
            return Err(AttemptError::TooLarge { limit: self.limit });
        }
        if needed > self.bytes.capacity() {
            // The buffer doubles, but never takes more memory than the backlog counts for it.
            let doubled =
                (2 * self.bytes.capacity()).clamp(needed, self.expected_len().max(needed));
            self.bytes.reserve_exact(doubled - self.bytes.len());
        }
        self.bytes.extend_from_slice(part);
        Ok(())
    }

    pub(super) fn is_whole(&self) -> bool {
        self.connection.is_none()
    }

    /// The most bytes that the whole body may have.
    pub(super) fn expected_len(&self) -> usize {
        self.announced.unwrap_or(self.limit)
    }
}

/// Reads and drops the body of an error, and gives the connection back to the pool. What takes longer continues in the
/// background.
pub(super) fn discard(connection: PooledConnection) {
    let mut reading = Box::pin(read_and_release(connection));
    if (&mut reading).now_or_never().is_none() {
        actix_rt::spawn(timeout(DISCARD_TIME, reading));
    }
}

async fn read_and_release(mut connection: PooledConnection) {
    let mut length = 0;
    while length <= DISCARD_MAX {
        match connection.http.next_part().await {
            Ok(Some(part)) => length += part.len(),
            Ok(None) => return connection.release(),
            Err(_) => return,
        }
    }
}
