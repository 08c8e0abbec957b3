//! Reads the body of an answer, within its bounds and into memory of its own.

use std::time::Duration;

use futures_util::FutureExt;
use tokio::time::timeout;

use crate::ingest::http::{error::AttemptError, pool::PooledConnection};

/// A small body of an error is read to its end, so that its connection can be used again. More bytes than this are not worth it.
const DISCARD_MAX: usize = 64 * 1024;

/// Reading the body of an error for longer than this is not worth it either.
const DISCARD_TIME: Duration = Duration::from_millis(100);

/// A body that is being read. Its parts are copied: as they come, each keeps alive the buffer that it was read into, which is much
/// larger than most records.
pub(super) struct Body {
    /// `None` at the end of the body, when the connection is free for others.
    connection: Option<PooledConnection>,
    bytes: Vec<u8>,
    /// The whole length, if the head named it.
    announced: Option<usize>,
    /// The largest allowed length.
    limit: usize,
}

impl Body {
    /// # Errors
    /// The announced length is over the limit.
    pub(super) fn new(connection: PooledConnection, limit: usize) -> Result<Self, AttemptError> {
        let announced = connection
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

    /// Reads until `length` bytes are there, or all of them.
    pub(super) async fn read_until(&mut self, length: usize) -> Result<(), AttemptError> {
        while self.bytes.len() < length
            && let Some(connection) = &mut self.connection
        {
            match connection.next_part().await? {
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

    /// Reads to the end.
    pub(super) async fn read_all(&mut self) -> Result<(), AttemptError> {
        self.read_until(usize::MAX).await
    }

    fn append(&mut self, part: &[u8]) -> Result<(), AttemptError> {
        let needed = self.bytes.len() + part.len();
        if needed > self.limit {
            return Err(AttemptError::TooLarge { limit: self.limit });
        }
        if needed > self.bytes.capacity() {
            // It doubles, but never takes more memory than the backlog counts for it.
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

    /// The bytes that are there.
    pub(super) fn len(&self) -> usize {
        self.bytes.len()
    }

    /// The most bytes that the whole body may have.
    pub(super) fn expected_len(&self) -> usize {
        self.announced.unwrap_or(self.limit)
    }

    pub(super) fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }
}

/// Reads and drops the body of an error, in the background if need be.
pub(super) fn discard(connection: PooledConnection) {
    let mut reading = Box::pin(read_and_release(connection));
    if (&mut reading).now_or_never().is_none() {
        actix_rt::spawn(timeout(DISCARD_TIME, reading));
    }
}

async fn read_and_release(mut connection: PooledConnection) {
    let mut length = 0;
    while length <= DISCARD_MAX {
        match connection.next_part().await {
            Ok(Some(part)) => length += part.len(),
            Ok(None) => return connection.release(),
            Err(_) => return,
        }
    }
}
