//! The addresses of Storage.

use actix::Recipient;

use crate::ingest::{
    messages::{Flush, Save},
    source::Id,
};

/// Storage, as the coordinator sends messages to it.
pub(crate) struct StorageRecipients<I: Id> {
    pub(crate) save: Recipient<Save<I>>,
    pub(crate) flush: Recipient<Flush>,
}
