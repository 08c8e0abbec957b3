//! The stories that comments belong to.

use std::collections::HashMap;

use diesel::{
    QueryResult, RunQueryDsl,
    sql_types::{BigInt, Nullable},
};

use super::statement::{Statement, still_in_time};
use crate::hn::{
    connection::{HnConnection, IDS_OF_QUERY, on_backend},
    reads::{self, StoredItem},
};

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
    // Each item that is met comes once, so that many items below the same ones cost little, and a circle has an end.
    let up = Statement::<(BigInt, Nullable<BigInt>)>::new(
        "WITH RECURSIVE up (id, above) AS (
             SELECT i.id, coalesce(i.parent, i.poll) FROM items i WHERE i.id IN (",
    );
    let up = up
        .numbers(ids)
        .sql(
            ") UNION SELECT p.id, coalesce(p.parent, p.poll)
             FROM up u JOIN items p ON p.id = u.above WHERE 1 = 1",
        )
        .part(still_in_time(conn, "p.id"))
        .sql(") SELECT id, above FROM up");
    let above: Vec<(i64, Option<i64>)> = on_backend!(conn, |conn| up.load(conn))?;
    let above: HashMap<i64, Option<i64>> = above.into_iter().collect();
    let mut roots: HashMap<i64, Option<i64>> = HashMap::new();
    for id in ids {
        let mut way = Vec::new();
        let mut at = *id;
        let root = loop {
            if let Some(known) = roots.get(&at) {
                break *known;
            }
            // If the way comes here again, it is a circle.
            roots.insert(at, None);
            way.push(at);
            match above.get(&at) {
                None => break None,
                Some(None) => break Some(at),
                Some(Some(above)) => at = *above,
            }
        };
        roots.extend(way.into_iter().map(|id| (id, root)));
    }
    let pairs = ids.iter().filter_map(|id| Some((*id, (*roots.get(id)?)?)));
    Ok(pairs.collect())
}
