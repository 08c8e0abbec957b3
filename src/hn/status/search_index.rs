//! What there is of a search index.

use diesel::QueryResult;
use serde::Serialize;

use crate::hn::{
    connection::HnConnection,
    search::index::{SearchIndex, missing_parts},
};

/// The search index of a database.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct SearchIndexStatus {
    /// What it holds: `everything` or `stories`.
    pub content: &'static str,
    /// Whether it is built to its end.
    pub is_complete: bool,
    /// Up to which id it is built. `None` if it is complete, if no step is done yet, and on PostgreSQL, which does not say.
    pub built_up_to: Option<i64>,
    /// What is wrong with it: parts that another program has dropped, or that an earlier version did not make.
    pub missing: Vec<String>,
}

impl SearchIndexStatus {
    /// `None` if no index was begun.
    pub(super) fn read(conn: &mut impl HnConnection) -> QueryResult<Option<Self>> {
        let Some(index) = SearchIndex::read(conn)? else {
            return Ok(None);
        };
        let missing = missing_parts(conn, index)?;
        Ok(Some(Self {
            content: index.content.name(),
            is_complete: index.is_complete(),
            // The smallest number of all is that of an index without any step.
            built_up_to: index.next_id.and_then(|next| next.checked_sub(1)),
            missing: missing.iter().map(ToString::to_string).collect(),
        }))
    }
}
