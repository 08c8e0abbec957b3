//! What a search is asked for.

use super::{content::Columns, filters::Filters, query::SearchQuery};

/// What is searched for, and which part of the results is wanted.
#[derive(Clone, Debug)]
pub(crate) struct SearchRequest {
    pub(crate) query: SearchQuery,
    pub(crate) columns: Columns,
    pub(crate) filters: Filters,
    pub(crate) order: Order,
    pub(crate) offset: usize,
    pub(crate) limit: usize,
    /// Whether a query without results may be searched with its words corrected.
    pub(crate) corrects: bool,
    /// Whether the last word of a query without results may be the beginning of a word.
    pub(crate) completes: bool,
}

/// The order of the results.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Order {
    /// Titles first, then by fit and points.
    Relevance,
    /// The newest first.
    Date,
}
