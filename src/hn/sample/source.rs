//! Items of the API, with a note of when each is asked for.

use super::open_checks::OpenChecks;
use crate::{
    hn::{clock::now, item::Item, source::HnSource},
    ingest::{DecodeError, Request, Source},
};

/// [`HnSource`], which also notes when a request for an id begins.
#[derive(Debug)]
pub(crate) struct SampleSource {
    pub(crate) source: HnSource,
    pub(crate) checks: OpenChecks,
}

impl Source for SampleSource {
    type Id = i64;
    type Record = Item;

    fn url(&self, id: &i64) -> String {
        self.source.url(id)
    }

    fn request(&self, id: &i64) -> Request {
        self.checks.note_request(*id, now());
        self.source.request(id)
    }

    fn decode(&self, id: &i64, body: &[u8]) -> Result<Option<Item>, DecodeError> {
        self.source.decode(id, body)
    }
}
