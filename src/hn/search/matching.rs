//! What a search looks for, as each database needs it to find the rows.

use super::{content::Content, filters::Filters, query::SearchQuery};

/// Words, filters, and what the index holds.
#[derive(Clone, Copy, Debug)]
pub(super) struct Matching<'a> {
    pub(super) query: &'a SearchQuery,
    pub(super) filters: &'a Filters,
    pub(super) content: Content,
}
