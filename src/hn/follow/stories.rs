//! New stories, for people who watch them come.

use diesel::{ExpressionMethods, QueryDsl, QueryResult, Queryable, RunQueryDsl};

use crate::hn::{
    connection::{HnConnection, on_backend},
    schema::items,
};

/// A story, job or poll.
#[derive(Clone, Debug, Queryable)]
pub(crate) struct Story {
    pub(crate) id: i64,
    /// HTML.
    pub(crate) title: Option<String>,
    pub(crate) url: Option<String>,
    pub(crate) by: Option<String>,
}

/// Those of these items that are stories, jobs or polls, and neither dead nor deleted, by id.
///
/// # Errors
/// Whatever Diesel says.
pub(crate) fn read(conn: &mut impl HnConnection, ids: &[i64]) -> QueryResult<Vec<Story>> {
    let stories = items::table
        .filter(items::id.eq_any(ids))
        .filter(items::type_.eq_any(["story", "job", "poll"]))
        .filter(items::deleted.is_null())
        .filter(items::dead.is_null())
        .order(items::id)
        .select((items::id, items::title, items::url, items::by));
    on_backend!(conn, |conn| stories.load(conn))
}
