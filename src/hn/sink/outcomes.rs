//! The rows that a batch writes to `items`, `absent` and `failures`, and those that it deletes.

use std::{
    borrow::Cow,
    collections::{HashMap, HashSet},
};

use diesel::{
    BoolExpressionMethods, ExpressionMethods, Insertable, QueryDsl, QueryResult, RunQueryDsl,
    dsl::{exists, select, sql},
    sql_types::BigInt,
    upsert::excluded,
};

use crate::{
    hn::{
        clock::unix_seconds,
        connection::{HnConnection, on_backend},
        item::Item,
        schema::{absent, failures, items},
        upsert::{self, Received},
    },
    ingest::{Failure, Outcome, Settled},
};

/// Rows of one statement, well under SQLite's 32,766 bound values. A larger statement is no faster.
pub(super) const ROWS: usize = 500;

/// An absence that has lasted for a day is final.
const LASTING_SECONDS: i64 = 24 * 3600;

/// The stored items of a part of a batch, by id: two writers that wait for each other's rows would never end.
#[derive(Default)]
pub(super) struct StoredItems<'a>(pub(super) Vec<Received<'a, Item>>);

impl<'a> StoredItems<'a> {
    pub(super) fn of(part: &'a [Settled<i64, Item>]) -> Self {
        let stored = part.iter().filter_map(|row| match &row.outcome {
            Outcome::Stored(item) => Some(Received {
                record: item,
                fetched_at: unix_seconds(row.received_at),
            }),
            _ => None,
        });
        let mut stored: Vec<_> = stored.collect();
        stored.sort_unstable_by_key(|row| row.record.id);
        Self(stored)
    }

    pub(super) fn write(&self, conn: &mut impl HnConnection) -> QueryResult<()> {
        upsert::save(conn, &self.0)
    }
}

/// The outcomes of a part of a batch, without absences and failures that are older than what the tables hold.
#[derive(Default)]
pub(super) struct Outcomes<'a> {
    stored: Vec<Received<'a, Item>>,
    absent: Vec<AbsentRow>,
    failed: Vec<FailureRow<'a>>,
    /// Absent ids whose failure is newer, but was written first.
    failed_later: HashSet<i64>,
}

/// What the table `absent` holds of the ids of a batch after it was written.
#[derive(Default)]
pub(super) struct AbsencesLeft {
    /// Ids that were stored by an answer that is older than their absence.
    pub(super) newer: HashSet<i64>,
    /// Ids whose absence has lasted for a day.
    pub(super) lasting: HashSet<i64>,
}

impl<'a> Outcomes<'a> {
    /// Expects that the stored items are written.
    pub(super) fn read(
        conn: &mut impl HnConnection,
        part: &'a [Settled<i64, Item>],
        StoredItems(stored): StoredItems<'a>,
    ) -> QueryResult<Self> {
        let mut outcomes = Self {
            stored,
            ..Self::default()
        };
        let is_other = |row: &&Settled<i64, Item>| !matches!(row.outcome, Outcome::Stored(_));
        let others: Vec<_> = part.iter().filter(is_other).collect();
        let ids: Vec<i64> = others.iter().map(|row| row.id).collect();
        let stored = stored_times(conn, &ids)?;
        let absent = absent_times(conn, &ids)?;
        let failed = failed_times(conn, &ids)?;
        for row in others {
            let (id, at) = (row.id, unix_seconds(row.received_at));
            let is_newer = |times: &Times| times.get(&id).is_some_and(|time| *time > at);
            if is_newer(&stored) || is_newer(&absent) {
                continue;
            }
            match &row.outcome {
                Outcome::Failed(failure) if !is_newer(&failed) => {
                    outcomes.failed.push(FailureRow::new(id, failure, at));
                }
                Outcome::Absent => {
                    outcomes.absent.push(AbsentRow::new(id, at));
                    if is_newer(&failed) {
                        outcomes.failed_later.insert(id);
                    }
                }
                _ => {}
            }
        }
        Ok(outcomes)
    }

    pub(super) fn stored_ids(&self) -> impl Iterator<Item = i64> {
        self.stored.iter().map(|row| row.record.id)
    }

    pub(super) fn absent_ids(&self) -> impl Iterator<Item = i64> {
        self.absent.iter().map(|row| row.id)
    }

    pub(super) fn failed_ids(&self) -> impl Iterator<Item = i64> {
        self.failed.iter().map(|row| row.id)
    }

    pub(super) fn is_failed_later(&self, id: i64) -> bool {
        self.failed_later.contains(&id)
    }

    pub(super) fn write(&self, conn: &mut impl HnConnection) -> QueryResult<AbsencesLeft> {
        let stored: Vec<_> = self
            .stored
            .iter()
            .map(|row| (row.record.id, row.fetched_at))
            .collect();
        let absent = self.absent.iter().map(|row| (row.id, row.last_checked_at));
        let answered: Vec<_> = stored.iter().copied().chain(absent).collect();
        let newer = delete_older_outcomes(conn, &stored, &answered)?;
        for rows in self.absent.chunks(ROWS) {
            save_absent(conn, rows)?;
        }
        for rows in self.failed.chunks(ROWS) {
            save_failures(conn, rows)?;
        }
        let absent: Vec<_> = self.absent_ids().chain(newer.iter().copied()).collect();
        Ok(AbsencesLeft {
            newer: newer.into_iter().collect(),
            lasting: lasting_absences(conn, &absent)?,
        })
    }
}

/// The ids with an outcome, and when its answer was received.
pub(in crate::hn) type Answers = [(i64, i64)];

/// The times of rows, by id.
pub(in crate::hn) type Times = HashMap<i64, i64>;

/// Defines a function that reads the times of the rows of these ids.
macro_rules! times {
    ($name:ident, $table:ident, $time:ident) => {
        pub(in crate::hn) fn $name(
            conn: &mut impl HnConnection,
            ids: &[i64],
        ) -> QueryResult<Times> {
            let mut times = Times::new();
            for ids in ids.chunks(ROWS) {
                let rows = $table::table.filter($table::id.eq_any(ids));
                let rows: Vec<(i64, i64)> = on_backend!(conn, |conn| rows
                    .select(($table::id, $table::$time))
                    .load(conn))?;
                times.extend(rows);
            }
            Ok(times)
        }
    };
}

times!(stored_times, items, fetched_at);
times!(absent_times, absent, last_checked_at);
times!(failed_times, failures, failed_at);

/// Which of these ids have been absent for so long that it is final.
fn lasting_absences(conn: &mut impl HnConnection, ids: &[i64]) -> QueryResult<HashSet<i64>> {
    let mut lasting = HashSet::new();
    for ids in ids.chunks(ROWS) {
        let rows = absent::table.filter(absent::id.eq_any(ids)).select((
            absent::id,
            absent::first_checked_at,
            absent::last_checked_at,
        ));
        let rows: Vec<(i64, i64, i64)> = on_backend!(conn, |conn| rows.load(conn))?;
        let is_lasting = |(id, first, last): (i64, i64, i64)| {
            (last.saturating_sub(first) >= LASTING_SECONDS).then_some(id)
        };
        lasting.extend(rows.into_iter().filter_map(is_lasting));
    }
    Ok(lasting)
}

/// Deletes the absences of the stored ids and the failures of all that are answered, unless they are newer than the answer. Returns the
/// stored ids whose absence is newer.
pub(in crate::hn) fn delete_older_outcomes(
    conn: &mut impl HnConnection,
    stored: &Answers,
    answered: &Answers,
) -> QueryResult<Vec<i64>> {
    let ids = || answered.iter().map(|&(id, _)| id);
    let (Some(lo), Some(hi)) = (ids().min(), ids().max()) else {
        return Ok(Vec::new());
    };
    // Mostly there is nothing to delete. Then one look at the range of the ids is much cheaper than a look for each.
    let in_range = select((
        exists(absent::table.filter(absent::id.between(lo, hi))),
        exists(failures::table.filter(failures::id.between(lo, hi))),
    ));
    let (has_absences, has_failures) = on_backend!(conn, |conn| in_range.get_result(conn))?;
    if has_failures {
        delete_older_failures(conn, answered)?;
    }
    if has_absences {
        return delete_older_absences(conn, stored);
    }
    Ok(Vec::new())
}

/// Defines a function that deletes the rows of these ids, unless they are newer than the answer. It returns the ids of newer rows.
macro_rules! delete_older {
    ($name:ident, $table:ident, $time:ident) => {
        fn $name(conn: &mut impl HnConnection, answers: &Answers) -> QueryResult<Vec<i64>> {
            let mut newer = Vec::new();
            let found = answers.iter().map(|&(id, _)| id);
            let found = $table::table.filter($table::id.eq_any(found));
            let found: Vec<i64> = on_backend!(conn, |conn| found.select($table::id).load(conn))?;
            for (id, at) in answers.iter().filter(|(id, _)| found.contains(id)) {
                let row = $table::table.filter($table::id.eq(id).and($table::$time.le(at)));
                if on_backend!(conn, |conn| diesel::delete(row).execute(conn))? == 0 {
                    newer.push(*id);
                }
            }
            Ok(newer)
        }
    };
}

delete_older!(delete_older_failures, failures, failed_at);
delete_older!(delete_older_absences, absent, last_checked_at);

fn save_absent(conn: &mut impl HnConnection, rows: &[AbsentRow]) -> QueryResult<()> {
    let checks = sql::<BigInt>(conn.dialect().checks_after_one_more);
    on_backend!(conn, |conn| diesel::insert_into(absent::table)
        .values(rows)
        .on_conflict(absent::id)
        .do_update()
        .set((
            absent::checks.eq(checks),
            absent::last_checked_at.eq(excluded(absent::last_checked_at)),
        ))
        .execute(conn))?;
    Ok(())
}

fn save_failures(conn: &mut impl HnConnection, rows: &[FailureRow<'_>]) -> QueryResult<()> {
    on_backend!(conn, |conn| diesel::insert_into(failures::table)
        .values(rows)
        .on_conflict(failures::id)
        .do_update()
        .set((
            failures::kind.eq(excluded(failures::kind)),
            failures::message.eq(excluded(failures::message)),
            failures::attempts.eq(excluded(failures::attempts)),
            failures::failed_at.eq(excluded(failures::failed_at)),
        ))
        .execute(conn))?;
    Ok(())
}

#[derive(Insertable)]
#[diesel(table_name = absent, treat_none_as_default_value = false)]
struct AbsentRow {
    id: i64,
    checks: i64,
    first_checked_at: i64,
    last_checked_at: i64,
}

impl AbsentRow {
    fn new(id: i64, checked_at: i64) -> Self {
        Self {
            id,
            checks: 1,
            first_checked_at: checked_at,
            last_checked_at: checked_at,
        }
    }
}

#[derive(Insertable)]
#[diesel(table_name = failures, treat_none_as_default_value = false)]
struct FailureRow<'a> {
    id: i64,
    kind: &'static str,
    message: Cow<'a, str>,
    attempts: i64,
    failed_at: i64,
}

impl<'a> FailureRow<'a> {
    fn new(id: i64, failure: &'a Failure, failed_at: i64) -> Self {
        Self {
            id,
            kind: failure.kind.as_str(),
            // PostgreSQL's texts hold no NUL, and a terminal shows none.
            message: without_nul(&failure.message),
            attempts: failure.attempts.into(),
            failed_at,
        }
    }
}

/// A text with a sign in place of each NUL.
pub(in crate::hn) fn without_nul(text: &str) -> Cow<'_, str> {
    if text.contains('\0') {
        text.replace('\0', "\u{fffd}").into()
    } else {
        text.into()
    }
}
