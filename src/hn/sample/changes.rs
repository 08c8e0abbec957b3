//! How many items differ from what the mirror holds.

use diesel::QueryResult;

use super::{
    difference::Difference,
    held::{Held, held},
};
use crate::hn::{connection::HnConnection, item::Item};

/// How many of these items the mirror holds already, and how many of those differ from what it holds.
///
/// # Errors
/// Whatever Diesel says.
pub(crate) fn count_changes(
    conn: &mut impl HnConnection,
    items: &[&Item],
) -> QueryResult<(u64, u64)> {
    if items.is_empty() {
        return Ok((0, 0));
    }
    let ids: Vec<i64> = items.iter().map(|item| item.id).collect();
    let stored = held(conn, &ids)?;
    let (mut known, mut changed) = (0, 0);
    for item in items {
        let Some(held @ (Held::Item { .. } | Held::Unreadable { .. })) = stored.get(&item.id)
        else {
            continue;
        };
        known += 1;
        changed += u64::from(Difference::between(held, Some(item)).is_some());
    }
    Ok((known, changed))
}
