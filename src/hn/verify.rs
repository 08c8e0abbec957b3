//! Checks that the database holds what the table `coverage` claims, and rebuilds the claim where it does not. Needs no network.
//!
//! One walk reads the ids of all tables in ascending order, together with the ranges of `coverage`. So memory does not grow with
//! the number of ids or of ranges.

mod covered;
mod json_fields;
mod progress;
mod repair;
mod report;
mod walk;

use diesel::{
    ExpressionMethods, QueryDsl, QueryResult, RunQueryDsl,
    dsl::{exists, max, sql},
    sql_types::{BigInt, Text},
};

use self::{
    covered::{CoveredIds, RangeCheck, UnclaimedIds},
    json_fields::bad_fields,
    walk::{Entry, Table, walk},
};
pub use self::{
    progress::{CheckProgress, CheckStep},
    repair::repair,
    report::{BadField, BadRange, Checked, Fault, Listed, MovedKid, Note, Verified},
};
#[cfg(feature = "serve")]
use super::search::index::{SearchIndex, differences, missing_parts};
use super::{
    connection::{HnConnection, on_backend},
    schema::{absent, failures, items},
};

/// The tables of the search index, as SQLite's own check names them. Their faults are no damage to the items.
const SEARCH_TABLES: [&str; 2] = ["items_fts", "stories_fts"];

/// Checks everything, on one snapshot of the database. Runs may go on meanwhile. `progress` says how far it is.
///
/// # Errors
/// Whatever Diesel says, except what it says about a damaged file: that is a fault.
pub fn verify(conn: &mut impl HnConnection, progress: &CheckProgress) -> QueryResult<Verified> {
    conn.snapshot(|conn| {
        let mut verified = Verified::default();
        let (of_index, damage) = integrity(conn)?
            .into_iter()
            .partition(|message| SEARCH_TABLES.iter().any(|name| message.contains(name)));
        let damage: Vec<String> = damage;
        let damaged = !damage.is_empty();
        if damaged {
            verified.faults.push(Fault::Integrity { messages: damage });
        }
        let checked = check_search_index(conn, of_index, &mut verified);
        let checked = checked.and_then(|()| check(conn, &mut verified, progress));
        match checked {
            Err(error) if damaged || is_damage(&error.to_string()) => {
                let message = error.to_string();
                verified.faults.push(Fault::Unreadable { message });
                Ok(verified)
            }
            done => done.map(|()| verified),
        }
    })
}

/// Compares the search index with the items. `messages` is what the database's own check found wrong with it.
fn check_search_index(
    conn: &mut impl HnConnection,
    messages: Vec<String>,
    verified: &mut Verified,
) -> QueryResult<()> {
    #[cfg(feature = "serve")]
    let (ids, messages) = compare_search_index(conn, messages)?;
    // Without the feature, this program neither builds nor reads one.
    #[cfg(not(feature = "serve"))]
    let (ids, _) = (Listed::default(), conn);
    if ids.count > 0 || !messages.is_empty() {
        verified.faults.push(Fault::SearchIndex { ids, messages });
    }
    Ok(())
}

/// Adds what is missing of the index to the messages. If nothing is wrong by then, the index can be compared.
#[cfg(feature = "serve")]
fn compare_search_index(
    conn: &mut impl HnConnection,
    mut messages: Vec<String>,
) -> QueryResult<(Listed<i64>, Vec<String>)> {
    if let Some(index) = SearchIndex::read(conn)? {
        let missing = missing_parts(conn, index)?;
        messages.extend(missing.iter().map(ToString::to_string));
    }
    let ids = if messages.is_empty() {
        differences(conn)?
    } else {
        Listed::default()
    };
    Ok((ids, messages))
}

fn check(
    conn: &mut impl HnConnection,
    verified: &mut Verified,
    progress: &CheckProgress,
) -> QueryResult<()> {
    let last_id: Option<i64> =
        on_backend!(conn, |conn| items::table.select(max(items::id)).first(conn))?;
    progress.begin_rows(last_id.unwrap_or(0));
    let mut checked = Checked::default();
    let mut ranges = RangeCheck::default();
    let mut covered = CoveredIds::default();
    let mut unclaimed = UnclaimedIds::default();
    let mut fields = Listed::default();
    walk(conn, i64::MIN, |entry| {
        match entry {
            Entry::Range(range) => {
                checked.ranges += 1;
                ranges.add(range);
                covered.add(range);
            }
            Entry::Row(row) => {
                progress.add_row(row.id);
                match row.table {
                    Table::Items => checked.items += 1,
                    Table::Absent => checked.absent += 1,
                    Table::Failures => checked.failures += 1,
                }
                let is_covered = covered.meet(row.id);
                unclaimed.see(&row, is_covered);
                for bad in bad_fields(&row) {
                    fields.add(bad);
                }
            }
        }
        true
    })?;
    checked.covered = covered.count();
    verified.checked = checked;
    let missing = covered.missing();
    if missing.count > 0 {
        verified.faults.push(Fault::Missing { ids: missing });
    }
    let bad_ranges = ranges.bad();
    if bad_ranges.count > 0 {
        verified.faults.push(Fault::Ranges { ranges: bad_ranges });
    }
    if fields.count > 0 {
        verified.faults.push(Fault::Json { fields });
    }
    let ids = unclaimed.ids();
    if ids.count > 0 {
        verified.notes.push(Note::Unclaimed { ids });
    }
    progress.begin_kids();
    take_notes(conn, &mut verified.notes)
}

fn take_notes(conn: &mut impl HnConnection, notes: &mut Vec<Note>) -> QueryResult<()> {
    // The small table drives each query. With `IN`, SQLite would walk the items.
    let stored = items::table.filter(items::id.eq(failures::id));
    let failed = failures::table.filter(exists(stored));
    let failed = failed.select(failures::id).order(failures::id);
    let ids: Listed<i64> = on_backend!(conn, |conn, Mode| failed
        .load_iter::<_, Mode>(conn)?
        .collect::<QueryResult<_>>())?;
    if ids.count > 0 {
        notes.push(Note::StoredAndFailed { ids });
    }
    let stored = items::table.filter(items::id.eq(absent::id));
    let gone = absent::table.filter(exists(stored));
    let gone = gone.select(absent::id).order(absent::id);
    let ids: Listed<i64> = on_backend!(conn, |conn, Mode| gone
        .load_iter::<_, Mode>(conn)?
        .collect::<QueryResult<_>>())?;
    if ids.count > 0 {
        notes.push(Note::StoredAndAbsent { ids });
    }
    let kids = moved_kids(conn)?;
    if kids.count > 0 {
        notes.push(Note::OtherParent { kids });
    }
    Ok(())
}

/// Stored kids of a stored item that name another parent.
fn moved_kids(conn: &mut impl HnConnection) -> QueryResult<Listed<MovedKid>> {
    let rows = sql::<(BigInt, BigInt, BigInt)>(conn.dialect().moved_kids);
    on_backend!(conn, |conn, Mode| rows
        .load_iter::<MovedKid, Mode>(conn)?
        .collect())
}

/// What the database's own check finds wrong, one line each. A badly damaged file ends the check itself with an error.
fn integrity(conn: &mut impl HnConnection) -> QueryResult<Vec<String>> {
    let Some(check) = conn.dialect().integrity_check else {
        return Ok(Vec::new());
    };
    let mut messages = Vec::new();
    let check = sql::<Text>(check);
    let result = on_backend!(conn, |conn, Mode| check
        .load_iter::<String, Mode>(conn)
        .and_then(|mut rows| {
            rows.try_for_each(|row| {
                messages.extend(row?.lines().map(str::to_owned));
                Ok(())
            })
        }));
    if let Err(error) = result {
        let message = error.to_string();
        if !is_damage(&message) {
            return Err(error);
        }
        messages.push(message);
    }
    messages.retain(|message| message != "ok");
    Ok(messages)
}

/// Whether an error's text is SQLite's message about a damaged file.
pub(crate) fn is_damage(error: &str) -> bool {
    ["disk image is malformed", "malformed database schema"]
        .iter()
        .any(|message| error.contains(message))
}
