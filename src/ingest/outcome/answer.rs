//! The result for one id: the answer before it is decoded, and the outcome after.

use bytes::Bytes;

use crate::ingest::{
    backlog::BytesPermit,
    outcome::failure::{Failure, FailureKind},
};

/// The result of all attempts for one id, before it is decoded.
#[derive(Debug)]
pub(crate) enum Answer {
    /// A whole body, and its room in the backlog.
    Body(Bytes, BytesPermit),
    /// The HTTP status says that there is no such record.
    Absent,
    /// The last attempt failed, with this message.
    Failed(FailureKind, String),
}

/// How an id ended, as a [`Sink`](crate::Sink) writes it. It counts once it is committed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome<R> {
    /// The record, fetched and decoded.
    Stored(R),
    /// The API says that there is no such record.
    Absent,
    /// The record could not be fetched, decoded or stored.
    Failed(Failure),
}
