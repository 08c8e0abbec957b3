//! Proves that the database holds what `coverage` claims, and mends the claim where it does not. Needs no network.
//!
//! One walk over the ids of all tables in order, so memory stays flat however many there are.

mod report;
mod walk;

use diesel::{
    Connection, ExpressionMethods, QueryDsl, QueryResult, RunQueryDsl, SqliteConnection,
    connection::SimpleConnection,
    dsl::{exists, sql},
    sql_types::{BigInt, Text},
};

pub use self::report::{BadField, BadRange, Checked, Fault, Listed, MovedKid, Note, Verified};
use self::walk::{Claim, Row, Unclaimed, walk};
use super::{
    coverage::{self, Range, Ranges},
    schema::{absent, failures, items},
};

/// 64 MiB: SQLite looks each row up in each index, and with its own 2 MiB that takes twice as long. More is no faster.
const CACHE: &str = "PRAGMA cache_size = -65536";

/// Checks everything, on one snapshot of the database: runs may go on meanwhile.
///
/// # Errors
/// Whatever Diesel says, unless it is what a damaged file says: that is a fault.
pub fn verify(conn: &mut SqliteConnection) -> QueryResult<Verified> {
    conn.batch_execute(CACHE)?;
    conn.transaction(|conn| {
        let mut verified = Verified::default();
        let damage = integrity(conn)?;
        let damaged = !damage.is_empty();
        if damaged {
            verified.faults.push(Fault::Integrity { messages: damage });
        }
        match check(conn, &mut verified) {
            Err(error) if damaged || is_damage(&error.to_string()) => {
                let message = error.to_string();
                verified.faults.push(Fault::Unreadable { message });
                Ok(verified)
            }
            done => done.map(|()| verified),
        }
    })
}

/// Rebuilds `coverage` from the tables, in one transaction: it claims every id that is stored or failed, and the absent ones that
/// it claimed already. Fields that are no JSON go to `extra` as text, and their ids, like all that is no longer claimed, are work
/// for the next backfill.
///
/// # Errors
/// Whatever Diesel says; then nothing has changed.
pub fn repair(conn: &mut SqliteConnection) -> QueryResult<()> {
    conn.immediate_transaction(|conn| {
        let mut claim = Claim::new(claimed(&coverage::all(conn)?));
        let mut kept = Ranges::default();
        let mut broken: Vec<Row> = Vec::new();
        walk(conn, |row| {
            let claimed = claim.meets(row.id) || (row.is_settled && row.id > 0);
            // A broken item may stand in another table, too, which comes after it.
            let is_broken = broken.last().is_some_and(|broken| broken.id == row.id);
            if row.bad_fields().next().is_some() {
                broken.push(row);
            } else if claimed && !is_broken {
                kept.push(Range {
                    lo: row.id,
                    hi: row.id,
                });
            }
        })?;
        broken.into_iter().try_for_each(|row| row.set_aside(conn))?;
        coverage::replace(conn, &kept.into_vec())
    })
}

/// What the ranges claim, however they lie.
fn claimed(ranges: &[Range]) -> Vec<Range> {
    let ranges: Ranges = ranges.iter().copied().collect();
    ranges.into_vec()
}

fn check(conn: &mut SqliteConnection, verified: &mut Verified) -> QueryResult<()> {
    let ranges = coverage::all(conn)?;
    let mut claim = Claim::new(claimed(&ranges));
    let mut fields = Listed::default();
    let mut unclaimed = Unclaimed::default();
    let checked = walk(conn, |row| {
        let is_claimed = claim.meets(row.id);
        unclaimed.see(&row, is_claimed);
        row.bad_fields().for_each(|bad| fields.add(bad));
    })?;
    let missing = claim.missing();
    verified.checked = Checked {
        ranges: ranges.len() as u64,
        ..checked
    };
    verified.checked.covered = claimed(&ranges).iter().map(|range| range.count()).sum();
    if missing.count > 0 {
        verified.faults.push(Fault::Missing { ids: missing });
    }
    let bad_ranges = bad_ranges(&ranges);
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
    take_notes(conn, &mut verified.notes)
}

/// Ranges that end before they begin, or that overlap or touch one before.
fn bad_ranges(ranges: &[Range]) -> Listed<BadRange> {
    let mut bad = Listed::default();
    let mut before: Option<Range> = None;
    for &range in ranges {
        let meets = before.filter(|before| range.lo <= before.hi.saturating_add(1));
        if range.lo > range.hi || meets.is_some() {
            bad.add(BadRange { range, meets });
        }
        if before.is_none_or(|before| before.hi < range.hi) && range.lo <= range.hi {
            before = Some(range);
        }
    }
    bad
}

fn take_notes(conn: &mut SqliteConnection, notes: &mut Vec<Note>) -> QueryResult<()> {
    // Driven by the small tables: an `IN` would have SQLite walk the items.
    let stored = items::table.filter(items::id.eq(failures::id));
    let failed = failures::table.filter(exists(stored));
    let failed = failed.select(failures::id).order(failures::id);
    let ids: Listed<i64> = failed.load_iter(conn)?.collect::<QueryResult<_>>()?;
    if ids.count > 0 {
        notes.push(Note::StoredAndFailed { ids });
    }
    let stored = items::table.filter(items::id.eq(absent::id));
    let gone = absent::table.filter(exists(stored));
    let gone = gone.select(absent::id).order(absent::id);
    let ids: Listed<i64> = gone.load_iter(conn)?.collect::<QueryResult<_>>()?;
    if ids.count > 0 {
        notes.push(Note::StoredAndAbsent { ids });
    }
    let kids = moved_kids(conn)?;
    if kids.count > 0 {
        notes.push(Note::OtherParent { kids });
    }
    Ok(())
}

/// Kids of a stored item that are stored themselves and name another parent.
fn moved_kids(conn: &mut SqliteConnection) -> QueryResult<Listed<MovedKid>> {
    // In this order each kid is one look-up by id, near the last one. What is no list is told of elsewhere.
    let rows = sql::<(BigInt, BigInt, BigInt)>(
        "SELECT c.id, p.id, c.parent
         FROM items p
         CROSS JOIN json_each(
             CASE CASE WHEN json_valid(p.kids) THEN json_type(p.kids) END WHEN 'array' THEN p.kids ELSE '[]' END
         ) k
         CROSS JOIN items c
         WHERE p.kids IS NOT NULL AND c.id = k.value AND c.parent <> p.id
         ORDER BY p.id",
    );
    rows.load_iter::<MovedKid, _>(conn)?.collect()
}

/// What SQLite's own check finds wrong, a line each. A badly damaged file ends the check itself with an error.
fn integrity(conn: &mut SqliteConnection) -> QueryResult<Vec<String>> {
    let mut messages = Vec::new();
    let check = sql::<Text>("SELECT integrity_check FROM pragma_integrity_check");
    let ended = check.load_iter::<String, _>(conn).and_then(|mut rows| {
        rows.try_for_each(|said| {
            messages.extend(said?.lines().map(str::to_owned));
            Ok(())
        })
    });
    match ended.map_err(|error: diesel::result::Error| (error.to_string(), error)) {
        Err((message, _)) if is_damage(&message) => messages.push(message),
        Err((_, error)) => return Err(error),
        Ok(()) => {}
    }
    messages.retain(|said| said != "ok");
    Ok(messages)
}

/// Whether an error's text is what SQLite says of a damaged file.
pub fn is_damage(error: &str) -> bool {
    ["disk image is malformed", "malformed database schema"]
        .iter()
        .any(|said| error.contains(said))
}
