//! The items that a search shows.

use std::collections::HashMap;

use diesel::{
    ExpressionMethods, QueryDsl, QueryResult, Queryable, RunQueryDsl, Selectable, SelectableHelper,
    sql_types::BigInt,
};

use super::statement::Statement;
use crate::hn::{
    connection::{HnConnection, on_backend},
    schema::items,
};

/// Ids of one query, well under SQLite's 32,766 bound values.
const IDS: usize = 1000;

/// No thread is deeper. Items whose parents form a circle would otherwise have no end.
const DEPTH_MAX: i64 = 1000;

/// An item as a search shows it.
#[derive(Clone, Debug, Queryable, Selectable)]
#[diesel(table_name = items)]
pub(crate) struct Hit {
    pub(crate) id: i64,
    pub(crate) type_: Option<String>,
    pub(crate) by: Option<String>,
    pub(crate) time: Option<i64>,
    pub(crate) title: Option<String>,
    pub(crate) url: Option<String>,
    pub(crate) text: Option<String>,
    pub(crate) score: Option<i64>,
    pub(crate) descendants: Option<i64>,
    pub(crate) parent: Option<i64>,
    pub(crate) poll: Option<i64>,
    pub(crate) kids: Option<String>,
    pub(crate) parts: Option<String>,
    pub(crate) deleted: Option<i32>,
    pub(crate) dead: Option<i32>,
    pub(crate) fetched_at: i64,
}

impl Hit {
    /// Whether it is a story, a comment or something else that can be shown.
    pub(crate) fn is_visible(&self) -> bool {
        self.deleted != Some(1) && self.dead != Some(1)
    }
}

/// Reads items, in the order of these ids. One that is not stored is left out.
///
/// # Errors
/// Whatever Diesel says.
pub(crate) fn load(conn: &mut impl HnConnection, ids: &[i64]) -> QueryResult<Vec<Hit>> {
    let mut hits: Vec<Hit> = Vec::with_capacity(ids.len());
    for ids in ids.chunks(IDS) {
        hits.extend(on_backend!(conn, |conn| items::table
            .filter(items::id.eq_any(ids))
            .select(Hit::as_select())
            .load(conn))?);
    }
    let places: HashMap<i64, usize> = ids.iter().enumerate().map(|(at, id)| (*id, at)).collect();
    hits.sort_by_key(|hit| places.get(&hit.id).copied());
    Ok(hits)
}

/// The stories (or polls, or jobs) that these items belong to, by the item's id. An item above which something is not stored has none.
///
/// # Errors
/// Whatever Diesel says.
pub(crate) fn stories(conn: &mut impl HnConnection, ids: &[i64]) -> QueryResult<HashMap<i64, Hit>> {
    let mut roots: Vec<(i64, i64)> = Vec::new();
    for ids in ids.chunks(IDS) {
        roots.extend(roots_of(conn, ids)?);
    }
    let mut story_ids: Vec<i64> = roots.iter().map(|(_, story)| *story).collect();
    story_ids.sort_unstable();
    story_ids.dedup();
    let stories = load(conn, &story_ids)?;
    let by_id: HashMap<i64, Hit> = stories.into_iter().map(|hit| (hit.id, hit)).collect();
    let pairs = roots.into_iter().filter_map(|(hit, story)| {
        let story = by_id.get(&story)?;
        Some((hit, story.clone()))
    });
    Ok(pairs.collect())
}

/// Pairs of an item and the topmost one above it.
fn roots_of(conn: &mut impl HnConnection, ids: &[i64]) -> QueryResult<Vec<(i64, i64)>> {
    let roots = Statement::<(BigInt, BigInt)>::new(
        "WITH RECURSIVE up (hit, id, above, depth) AS (
             SELECT i.id, i.id, coalesce(i.parent, i.poll), CAST(0 AS BIGINT) FROM items i WHERE i.id IN (",
    );
    let roots = roots.numbers(ids).sql(
        ") UNION ALL SELECT u.hit, p.id, coalesce(p.parent, p.poll), u.depth + 1
             FROM up u JOIN items p ON p.id = u.above WHERE u.depth < ",
    );
    let roots = roots
        .number(DEPTH_MAX)
        .sql(") SELECT hit, id FROM up WHERE above IS NULL");
    on_backend!(conn, |conn| roots.load(conn))
}
