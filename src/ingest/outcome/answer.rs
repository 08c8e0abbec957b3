//! What one id's attempts brought, before and after it is decoded.

use bytes::Bytes;

use crate::ingest::{
    backlog::BytesPermit,
    outcome::failure::{Failure, FailureKind},
};

/// What the attempts for one id brought.
#[derive(Debug)]
pub(crate) enum Answer {
    /// A whole body, and its share of the backlog.
    Body(Bytes, BytesPermit),
    /// The status alone says that there is no such record.
    Absent,
    /// The last attempt failed, with this message.
    Failed(FailureKind, String),
}

/// How an id ended, as it is handed to a [`Sink`](crate::Sink) to be written. It counts once it is committed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome<R> {
    /// The record, fetched and decoded.
    Stored(R),
    /// The API says that there is no such record.
    Absent,
    /// There is no record, or it could not be stored.
    Failed(Failure),
}
