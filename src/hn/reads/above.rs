//! The stories that comments belong to.

use std::collections::HashMap;

use diesel::QueryResult;

use super::items::{StoredItem, items};
use crate::hn::{Item, connection::HnConnection};

/// No thread is deeper. Items whose parents form a circle would otherwise have no end.
const DEPTH_MAX: usize = 1000;

/// The stories (or polls, or jobs) that these items belong to, by the item's id. An item has none if something above it is not stored,
/// or nothing is above it.
///
/// # Errors
/// Whatever Diesel says.
pub fn stories_of<'a>(
    conn: &mut impl HnConnection,
    below: impl IntoIterator<Item = &'a Item>,
) -> QueryResult<HashMap<i64, StoredItem>> {
    let mut roots = HashMap::new();
    // Pairs of an item and the next one above it.
    let mut climbing: Vec<(i64, i64)> = below
        .into_iter()
        .filter_map(|item| Some((item.id, item.parent.or(item.poll)?)))
        .collect();
    for _ in 0..DEPTH_MAX {
        if climbing.is_empty() {
            break;
        }
        let mut above: Vec<i64> = climbing.iter().map(|(_, above)| *above).collect();
        above.sort_unstable();
        above.dedup();
        let above = items(conn, &above)?;
        let above: HashMap<i64, StoredItem> = above
            .into_iter()
            .map(|stored| (stored.item.id, stored))
            .collect();
        climbing.retain_mut(|(id, at)| {
            let Some(stored) = above.get(at) else {
                return false;
            };
            match stored.item.parent.or(stored.item.poll) {
                Some(next) => {
                    *at = next;
                    true
                }
                None => {
                    roots.insert(*id, stored.clone());
                    false
                }
            }
        });
    }
    Ok(roots)
}
