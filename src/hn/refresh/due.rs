//! Which items are due by the ladder.
//!
//! Three of four ids that are handed out are those with the youngest step, because a young item changes most; so a long queue
//! does not keep young items waiting. The fourth is the one that has been overdue for longest, whatever its step, so none starves.
//!
//! An item keeps its `fetched_at` when the API has nothing for it or its fetch fails. So a newer absence counts as a reading,
//! and a newer failure holds the item back for a while.

#[cfg(feature = "cli")]
use std::collections::HashSet;

use diesel::{QueryResult, QueryableByName, RunQueryDsl, sql_query, sql_types::BigInt};

use super::{
    index::{DELAYED_STEP, step_expression},
    ladder::{DAY, DELAYED_MAX_AGE, DELAYED_WAIT, Ladder},
};
use crate::hn::connection::{HnConnection, on_backend};

/// An item whose fetch failed is due again after this many seconds.
const FAILURE_WAIT: i64 = 600;

/// An item whose fetch still fails this long after its last step is due once a day.
const FAILURE_PATIENCE: i64 = DAY;

/// One of this many ids is the one that has been overdue for longest.
#[cfg(feature = "cli")]
const OVERDUE_SHARE: usize = 4;

/// At most this many due items are counted, which takes a tenth of a second or so.
pub(crate) const MOST_COUNTED: u64 = 100_000;

/// An item whose text is held back.
#[derive(QueryableByName)]
struct DelayedItem {
    #[diesel(sql_type = BigInt)]
    id: i64,
    #[diesel(sql_type = BigInt)]
    time: i64,
    #[diesel(sql_type = BigInt)]
    fetched_at: i64,
}

/// An item that is due.
#[derive(Clone, Copy, QueryableByName)]
struct DueItem {
    #[diesel(sql_type = BigInt)]
    id: i64,
    #[diesel(sql_type = BigInt)]
    due_at: i64,
}

#[derive(QueryableByName)]
struct Count {
    #[diesel(sql_type = BigInt)]
    count: i64,
}

/// The condition that an item is due whose next step is this one, for SQL.
///
/// Only steps and times are looked at to find an item, so that the index does. Numbers are written into the text, since the statement is
/// prepared anew each time in any case.
fn due_condition(ladder: &Ladder, step: usize, now: i64) -> String {
    let last_passed = last_passed_step(ladder, now);
    let is_delayed = step == DELAYED_STEP;
    let is_due_since = |read_at: &str| {
        if is_delayed {
            // Strictly before the next second, so that nothing is before the beginning of all times.
            let end = now.saturating_sub(DELAYED_WAIT - 1);
            format!(
                "({read_at} < {end} AND {read_at} < \"time\" + {DELAYED_MAX_AGE} OR {read_at} < {last_passed})"
            )
        } else {
            format!("{read_at} < {last_passed}")
        }
    };
    let is_due = if is_delayed {
        is_due_since("fetched_at")
    } else {
        let latest = now.saturating_sub(ladder.steps()[step - 1]);
        format!("\"time\" <= {latest}")
    };
    let is_due_after_absence = is_due_since("a.last_checked_at");
    let failed_after = now.saturating_sub(FAILURE_WAIT);
    let failed_today = now.saturating_sub(DAY);
    let patience = ladder.last_age() + FAILURE_PATIENCE;
    format!(
        "{expression} = {step} AND {is_due}
         AND NOT EXISTS (SELECT 1 FROM absent a
             WHERE a.id = items.id AND a.last_checked_at > fetched_at AND NOT {is_due_after_absence})
         AND NOT EXISTS (SELECT 1 FROM failures f
             WHERE f.id = items.id AND f.failed_at > fetched_at
             AND (f.failed_at > {failed_after} OR f.failed_at > {failed_today} AND f.failed_at >= \"time\" + {patience}))",
        expression = step_expression(ladder),
    )
}

/// An expression for SQL: when an item reached the last step that it has passed by now. If it has passed none, a time before all others.
fn last_passed_step(ladder: &Ladder, now: i64) -> String {
    let mut sql = "CASE".to_owned();
    for age in ladder.steps().iter().rev() {
        let latest = now.saturating_sub(*age);
        sql += &format!(" WHEN \"time\" <= {latest} THEN \"time\" + {age}");
    }
    sql + " ELSE -9223372036854775807 - 1 END"
}

/// The conditions of all steps.
#[cfg(test)]
pub(super) fn conditions(ladder: &Ladder, now: i64) -> Vec<String> {
    let steps = all_steps(ladder);
    steps.map(|step| due_condition(ladder, step, now)).collect()
}

/// The steps of a ladder, the one for texts that are held back included.
fn all_steps(ladder: &Ladder) -> impl Iterator<Item = usize> {
    DELAYED_STEP..=ladder.steps().len()
}

/// Items that are due at a step, the longest overdue first.
fn due_at_step(
    conn: &mut impl HnConnection,
    ladder: &Ladder,
    step: usize,
    now: i64,
    limit: usize,
) -> QueryResult<Vec<DueItem>> {
    let condition = due_condition(ladder, step, now);
    if step == DELAYED_STEP {
        // These are not due in the order of their times. There are few.
        let query = sql_query(format!(
            "SELECT id, \"time\", fetched_at FROM items WHERE {condition}"
        ));
        let rows: Vec<DelayedItem> = on_backend!(conn, |conn| query.load(conn))?;
        let due_items = rows.into_iter().filter_map(|row| {
            let due_at = ladder.next_due_if_delayed(row.time, row.fetched_at)?;
            Some(DueItem { id: row.id, due_at })
        });
        let mut due_items: Vec<_> = due_items.collect();
        due_items.sort_unstable_by_key(|item| (item.due_at, item.id));
        due_items.truncate(limit);
        return Ok(due_items);
    }
    // Everything is in the index, so no row is read.
    let age = ladder.steps()[step - 1];
    let query = sql_query(format!(
        "SELECT id, \"time\" + {age} AS due_at FROM items WHERE {condition} ORDER BY \"time\" LIMIT {limit}"
    ));
    on_backend!(conn, |conn| query.load(conn))
}

/// Up to `limit` items that are due, the most urgent first; the head of this file says which those are. With a limit below 4, only the
/// youngest.
///
/// Needs the ladder's index.
///
/// # Errors
/// Whatever Diesel says.
#[cfg(feature = "cli")]
pub(crate) fn due(
    conn: &mut impl HnConnection,
    ladder: &Ladder,
    now: i64,
    limit: usize,
) -> QueryResult<Vec<i64>> {
    let mut youngest = Vec::new();
    for step in all_steps(ladder) {
        // When younger ones fill the answer, only the longest overdue of a step can still be in it.
        let wanted = limit
            .saturating_sub(youngest.len())
            .max(limit / OVERDUE_SHARE);
        youngest.extend(due_at_step(conn, ladder, step, now, wanted)?);
    }
    let mut overdue = youngest.clone();
    overdue.sort_unstable_by_key(|item| (item.due_at, item.id));
    let (mut youngest, mut overdue) = (youngest.into_iter(), overdue.into_iter());
    let mut taken = HashSet::new();
    let mut ids = Vec::new();
    while ids.len() < limit {
        let is_overdue_turn = (ids.len() + 1) % OVERDUE_SHARE == 0;
        let queue = if is_overdue_turn {
            &mut overdue
        } else {
            &mut youngest
        };
        let Some(item) = queue.find(|item| taken.insert(item.id)) else {
            break;
        };
        ids.push(item.id);
    }
    Ok(ids)
}

/// How many items are due, up to [`MOST_COUNTED`]: a mirror that was away for long has very many.
///
/// Needs the ladder's index.
///
/// # Errors
/// Whatever Diesel says.
pub(crate) fn count_due(
    conn: &mut impl HnConnection,
    ladder: &Ladder,
    now: i64,
) -> QueryResult<u64> {
    let mut due = 0;
    for step in all_steps(ladder) {
        let query = sql_query(format!(
            "SELECT count(*) AS count FROM (SELECT 1 FROM items WHERE {} LIMIT {}) AS due",
            due_condition(ladder, step, now),
            MOST_COUNTED - due
        ));
        let Count { count } = on_backend!(conn, |conn| query.get_result(conn))?;
        due += u64::try_from(count).unwrap_or(0);
    }
    Ok(due)
}

/// Since when an item has been due, for the one that has been due for longest.
///
/// Needs the ladder's index.
///
/// # Errors
/// Whatever Diesel says.
pub(crate) fn longest_overdue(
    conn: &mut impl HnConnection,
    ladder: &Ladder,
    now: i64,
) -> QueryResult<Option<i64>> {
    let mut earliest = None;
    for step in all_steps(ladder) {
        let items = due_at_step(conn, ladder, step, now, 1)?;
        let due_times = items.iter().map(|item| item.due_at).chain(earliest);
        earliest = due_times.min();
    }
    Ok(earliest)
}
