//! The rows that a batch writes to `items`, `absent` and `failures`, and those that it deletes.

use diesel::{
    BoolExpressionMethods, ExpressionMethods, Insertable, OptionalExtension, QueryDsl, QueryResult,
    RunQueryDsl,
    dsl::{exists, select},
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
const ROWS: usize = 500;

/// The outcomes of a part of a batch, without absences and failures that are older than what the tables hold.
#[derive(Default)]
pub(super) struct Outcomes<'a> {
    stored: Vec<Received<'a, Item>>,
    absent: Vec<AbsentRow>,
    failed: Vec<FailureRow<'a>>,
}

impl<'a> Outcomes<'a> {
    pub(super) fn read(
        conn: &mut impl HnConnection,
        part: &'a [Settled<i64, Item>],
    ) -> QueryResult<Self> {
        let mut outcomes = Self::default();
        for row in part {
            let (id, at) = (row.id, unix_seconds(row.received_at));
            match &row.outcome {
                Outcome::Stored(item) => outcomes.stored.push(Received {
                    record: item,
                    fetched_at: at,
                }),
                Outcome::Absent => {
                    if !is_stored_after(conn, id, at)? && !is_absent_after(conn, id, at)? {
                        outcomes.absent.push(AbsentRow::new(id, at));
                    }
                }
                Outcome::Failed(failure) => {
                    let is_outdated = is_stored_after(conn, id, at)?
                        || is_absent_after(conn, id, at)?
                        || has_failed_after(conn, id, at)?;
                    if !is_outdated {
                        outcomes.failed.push(FailureRow::new(id, failure, at));
                    }
                }
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

    pub(super) fn write(&self, conn: &mut impl HnConnection) -> QueryResult<()> {
        let stored: Vec<_> = self
            .stored
            .iter()
            .map(|row| (row.record.id, row.fetched_at))
            .collect();
        let absent = self.absent.iter().map(|row| (row.id, row.last_checked_at));
        delete_older_absences(conn, &stored)?;
        let answered: Vec<_> = stored.into_iter().chain(absent).collect();
        delete_older_failures(conn, &answered)?;
        upsert::save(conn, &self.stored)?;
        for rows in self.absent.chunks(ROWS) {
            save_absent(conn, rows)?;
        }
        for rows in self.failed.chunks(ROWS) {
            save_failures(conn, rows)?;
        }
        Ok(())
    }
}

/// The ids with an outcome, and when its answer was received.
type Answers = [(i64, i64)];

/// Whether the item was received after `at`.
fn is_stored_after(conn: &mut impl HnConnection, id: i64, at: i64) -> QueryResult<bool> {
    let row = items::table.find(id).select(items::fetched_at);
    let fetched_at: Option<i64> = on_backend!(conn, |conn| row.get_result(conn)).optional()?;
    Ok(fetched_at.is_some_and(|fetched_at| fetched_at > at))
}

/// Whether the API said after `at` that there is no such item.
fn is_absent_after(conn: &mut impl HnConnection, id: i64, at: i64) -> QueryResult<bool> {
    let row = absent::table.find(id).select(absent::last_checked_at);
    let checked_at: Option<i64> = on_backend!(conn, |conn| row.get_result(conn)).optional()?;
    Ok(checked_at.is_some_and(|checked_at| checked_at > at))
}

/// Whether a fetch failed after `at`.
fn has_failed_after(conn: &mut impl HnConnection, id: i64, at: i64) -> QueryResult<bool> {
    let row = failures::table.find(id).select(failures::failed_at);
    let failed_at: Option<i64> = on_backend!(conn, |conn| row.get_result(conn)).optional()?;
    Ok(failed_at.is_some_and(|failed_at| failed_at > at))
}

/// Defines a function that deletes the rows of these ids, unless they are newer than the answer.
macro_rules! delete_older {
    ($name:ident, $table:ident, $time:ident) => {
        fn $name(conn: &mut impl HnConnection, answers: &Answers) -> QueryResult<()> {
            let ids = || answers.iter().map(|&(id, _)| id);
            let (Some(lo), Some(hi)) = (ids().min(), ids().max()) else {
                return Ok(());
            };
            // Mostly there is nothing to delete. Then one look at the range of the ids is much cheaper than a look for each.
            let in_range = $table::table.filter($table::id.between(lo, hi));
            if !on_backend!(conn, |conn| select(exists(in_range)).get_result(conn))? {
                return Ok(());
            }
            let found = $table::table.filter($table::id.eq_any(ids()));
            let found: Vec<i64> = on_backend!(conn, |conn| found.select($table::id).load(conn))?;
            for (id, at) in answers.iter().filter(|(id, _)| found.contains(id)) {
                let row = $table::table.filter($table::id.eq(id).and($table::$time.le(at)));
                on_backend!(conn, |conn| diesel::delete(row).execute(conn))?;
            }
            Ok(())
        }
    };
}

delete_older!(delete_older_failures, failures, failed_at);
delete_older!(delete_older_absences, absent, last_checked_at);

fn save_absent(conn: &mut impl HnConnection, rows: &[AbsentRow]) -> QueryResult<()> {
    on_backend!(conn, |conn| diesel::insert_into(absent::table)
        .values(rows)
        .on_conflict(absent::id)
        .do_update()
        .set((
            absent::checks.eq(absent::checks + 1),
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
    message: &'a str,
    attempts: i64,
    failed_at: i64,
}

impl<'a> FailureRow<'a> {
    fn new(id: i64, failure: &'a Failure, failed_at: i64) -> Self {
        Self {
            id,
            kind: failure.kind.as_str(),
            message: &failure.message,
            attempts: failure.attempts.into(),
            failed_at,
        }
    }
}
