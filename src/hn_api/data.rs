//! Where answers come from.

use std::{future::Future, time::Duration};

use bytes::Bytes;

use super::path::Record;

/// A record as JSON.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Document {
    pub(crate) json: Bytes,
    /// When the record was received from the real API, in Unix seconds, if that is known.
    pub(crate) fetched_at: Option<i64>,
}

impl Document {
    pub(crate) const NULL: Self = Self {
        json: Bytes::from_static(b"null"),
        fetched_at: None,
    };

    pub(crate) fn new(json: impl Into<Bytes>) -> Self {
        Self {
            json: json.into(),
            fetched_at: None,
        }
    }
}

/// Why there is no answer at the moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unavailable {
    /// Too much is going on. The client may ask again after a while.
    Busy(&'static str),
    Failed(&'static str),
    /// The server ends.
    Closing,
}

impl Unavailable {
    /// How long a client should wait before it asks again.
    pub(crate) const RETRY_AFTER: Duration = Duration::from_secs(1);
}

/// The records of Hacker News. Clones share them.
pub(crate) trait HnData: Clone + 'static {
    type Follow: Follow;

    /// Reads a record. One that does not exist is `null`.
    fn read(&self, record: &Record) -> impl Future<Output = Result<Document, Unavailable>>;

    /// Follows a record.
    fn follow(&self, record: &Record) -> Self::Follow;
}

/// Tells how a record changes.
pub(crate) trait Follow: 'static {
    /// The record as it is, at once when this is called for the first time, and later whenever it may have changed. Dropping the future
    /// loses no change.
    fn next(&mut self) -> impl Future<Output = Result<Document, Unavailable>>;
}
