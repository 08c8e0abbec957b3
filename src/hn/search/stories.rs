//! The stories that comments belong to.

use std::collections::HashMap;

use diesel::{QueryResult, RunQueryDsl, sql_types::BigInt};

use super::statement::Statement;
use crate::hn::{
    connection::{HnConnection, IDS_OF_QUERY, on_backend},
    reads::{self, StoredItem},
};

/// No thread is deeper. Items whose parents form a circle would otherwise have no end.
const DEPTH_MAX: i64 = 1000;

/// The stories (or polls, or jobs) that these items belong to, by the item's id. An item above which something is not stored has none.
///
/// # Errors
/// Whatever Diesel says.
pub(crate) fn stories(
    conn: &mut impl HnConnection,
    ids: &[i64],
) -> QueryResult<HashMap<i64, StoredItem>> {
    let mut roots: Vec<(i64, i64)> = Vec::new();
    for ids in ids.chunks(IDS_OF_QUERY) {
        roots.extend(roots_of(conn, ids)?);
    }
    let mut story_ids: Vec<i64> = roots.iter().map(|(_, story)| *story).collect();
    story_ids.sort_unstable();
    story_ids.dedup();
    let stories = reads::items(conn, &story_ids)?;
    let by_id: HashMap<i64, StoredItem> = stories
        .into_iter()
        .map(|story| (story.item.id, story))
        .collect();
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
