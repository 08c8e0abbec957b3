//! What is below items: comments and the options of polls.

use std::collections::{HashMap, HashSet};

use diesel::{QueryResult, RunQueryDsl, sql_types::BigInt};

use super::statement::Statement;
use crate::hn::{
    Item,
    connection::{HnConnection, IDS_OF_QUERY, on_backend},
    indexes, reads,
};

/// The items right below these: for each, its options and comments in the order that it lists them in, then those that only name it as
/// their parent. Each child names the item as its parent.
///
/// # Errors
/// Whatever Diesel says.
pub(crate) fn children(conn: &mut impl HnConnection, above: &[Item]) -> QueryResult<Vec<Item>> {
    let mut ids: Vec<i64> = above.iter().flat_map(listed).collect();
    let unlisted = unlisted(conn, above)?;
    let known: HashSet<i64> = ids.iter().copied().collect();
    ids.extend(unlisted.into_iter().filter(|id| !known.contains(id)));
    let items = reads::items(conn, &ids)?;
    let parents: HashSet<i64> = above.iter().map(|item| item.id).collect();
    let is_below = |item: &Item| {
        let parent = item.parent.or(item.poll);
        parent.is_some_and(|parent| parents.contains(&parent))
    };
    // A deleted item may name no parent. The one that lists it is it.
    let lists: HashMap<i64, i64> = above
        .iter()
        .flat_map(|item| listed(item).into_iter().map(|kid| (kid, item.id)))
        .collect();
    let items = items.into_iter().map(|stored| stored.item).map(|item| {
        let parent = item.parent.or(item.poll).or(lists.get(&item.id).copied());
        Item {
            parent: item.parent.or(parent.filter(|_| item.poll.is_none())),
            ..item
        }
    });
    Ok(items.filter(is_below).collect())
}

/// The ids that an item lists as its options and comments.
fn listed(item: &Item) -> Vec<i64> {
    let ids = |json: &Option<String>| -> Vec<i64> {
        let json = json.as_deref().unwrap_or("[]");
        serde_json::from_str(json).unwrap_or_default()
    };
    [ids(&item.parts), ids(&item.kids)].concat()
}

/// The ids of items that name one of these as their parent. Nothing without the index for that, which a small mirror may lack.
fn unlisted(conn: &mut impl HnConnection, above: &[Item]) -> QueryResult<Vec<i64>> {
    let missing = indexes::missing(conn)?;
    if missing
        .iter()
        .any(|index| index.name() == "items_by_parent")
    {
        return Ok(Vec::new());
    }
    let parents: Vec<i64> = above.iter().map(|item| item.id).collect();
    let mut ids = Vec::new();
    for parents in parents.chunks(IDS_OF_QUERY) {
        let query = Statement::<BigInt>::new("SELECT id FROM items WHERE parent IN (")
            .numbers(parents)
            .sql(") ORDER BY id");
        let found: Vec<i64> = on_backend!(conn, |conn| query.load(conn))?;
        ids.extend(found);
    }
    Ok(ids)
}
