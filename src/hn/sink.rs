//! The tables of Hacker News as a [`Sink`].

use std::collections::HashSet;

use diesel::{
    ExpressionMethods, Insertable, QueryDsl, QueryResult, RunQueryDsl, SqliteConnection,
    upsert::excluded,
};

use super::{
    Item, coverage, now,
    schema::{absent, failures},
    upsert,
};
use crate::ingest::{Failure, Outcome, Settled, Sink};

/// Rows of one statement, well under SQLite's 32,766 bound values; larger ones are no faster.
const ROWS: usize = 500;

/// Writes items, absences and failures, and keeps the books of what is settled.
#[derive(Clone, Debug, Default)]
pub struct HnSink {
    books: Books,
}

/// What a batch means for the table `coverage`.
#[derive(Clone, Copy, Debug, Default)]
enum Books {
    #[default]
    Closed,
    /// Every id is settled, but for absent ones beyond this.
    Settle(i64),
    /// An absent id is not settled any more.
    Doubt,
}

impl HnSink {
    /// A sink for a database with the [migrations](super::migrations) run. It leaves the table `coverage` alone.
    pub fn new() -> Self {
        Self::default()
    }

    /// A sink that also records each id as settled, in the same transaction, unless it is absent and beyond
    /// [`frontier`](coverage::frontier): that one may yet come.
    pub fn with_coverage(frontier: i64) -> Self {
        let books = Books::Settle(frontier);
        Self { books }
    }

    /// A sink for ids that failed before. One that is absent now is taken out of the table `coverage`: the next backfill, which
    /// knows the largest id, asks once more and decides.
    pub fn for_retry() -> Self {
        let books = Books::Doubt;
        Self { books }
    }

    fn keep_books(&self, conn: &mut SqliteConnection, batch: &[Row]) -> QueryResult<()> {
        let absent = |outcome: &Outcome<Item>| matches!(outcome, Outcome::Absent);
        let (doubtful, settled): (Vec<&Row>, Vec<&Row>) = match self.books {
            Books::Closed => return Ok(()),
            Books::Settle(frontier) => batch
                .iter()
                .partition(|row| absent(&row.outcome) && row.id > frontier),
            Books::Doubt => (
                batch.iter().filter(|row| absent(&row.outcome)).collect(),
                vec![],
            ),
        };
        for row in doubtful {
            coverage::forget(conn, row.id)?;
        }
        coverage::record(conn, settled.iter().map(|row| row.id).collect())
    }
}

type Row = Settled<i64, Item>;

impl Sink for HnSink {
    type Id = i64;
    type Record = Item;
    type Connection = SqliteConnection;

    fn write(&self, conn: &mut SqliteConnection, batch: &[Row]) -> QueryResult<()> {
        let at = now();
        // Where an id comes twice, its outcomes are applied one after the other.
        without_repeats(batch).try_for_each(|rows| settle(conn, rows, at))?;
        self.keep_books(conn, batch)
    }
}

/// Cuts a batch so that no id comes twice in a part.
fn without_repeats(batch: &[Row]) -> impl Iterator<Item = &[Row]> {
    let mut rest = batch;
    std::iter::from_fn(move || {
        let mut seen = HashSet::with_capacity(rest.len());
        let end = rest
            .iter()
            .position(|row| !seen.insert(row.id))
            .unwrap_or(rest.len());
        let (part, after) = rest.split_at(end);
        rest = after;
        (!part.is_empty()).then_some(part)
    })
}

/// *Stored* deletes the id's rows in failures and absent, *absent* its row in failures; no item is ever deleted.
fn settle(conn: &mut SqliteConnection, rows: &[Row], at: i64) -> QueryResult<()> {
    let mut stored = Vec::with_capacity(rows.len());
    let mut missing = Vec::new();
    let mut failed = Vec::new();
    for Settled { id, outcome, .. } in rows {
        match outcome {
            Outcome::Stored(item) => stored.push(item),
            Outcome::Absent => missing.push(*id),
            Outcome::Failed(failure) => failed.push(FailureRow::new(*id, failure, at)),
        }
    }
    let stored_ids = || stored.iter().map(|item| item.id);
    forget_failures(conn, stored_ids().chain(missing.iter().copied()))?;
    forget_absent(conn, stored_ids())?;
    upsert::save(conn, &stored, at)?;
    missing
        .chunks(ROWS)
        .try_for_each(|ids| save_absent(conn, ids, at))?;
    failed
        .chunks(ROWS)
        .try_for_each(|rows| save_failures(conn, rows))
}

fn forget_failures(conn: &mut SqliteConnection, ids: impl Iterator<Item = i64>) -> QueryResult<()> {
    // Looking is much cheaper than deleting by a long list of ids, and mostly there is nothing.
    if failures::table
        .select(failures::id)
        .limit(1)
        .load::<i64>(conn)?
        .is_empty()
    {
        return Ok(());
    }
    let ids: Vec<_> = ids.collect();
    diesel::delete(failures::table)
        .filter(failures::id.eq_any(ids))
        .execute(conn)?;
    Ok(())
}

fn forget_absent(conn: &mut SqliteConnection, ids: impl Iterator<Item = i64>) -> QueryResult<()> {
    if absent::table
        .select(absent::id)
        .limit(1)
        .load::<i64>(conn)?
        .is_empty()
    {
        return Ok(());
    }
    let ids: Vec<_> = ids.collect();
    diesel::delete(absent::table)
        .filter(absent::id.eq_any(ids))
        .execute(conn)?;
    Ok(())
}

fn save_absent(conn: &mut SqliteConnection, ids: &[i64], at: i64) -> QueryResult<()> {
    let row = |&id| AbsentRow {
        id,
        checks: 1,
        first_checked_at: at,
        last_checked_at: at,
    };
    let rows: Vec<_> = ids.iter().map(row).collect();
    diesel::insert_into(absent::table)
        .values(&rows)
        .on_conflict(absent::id)
        .do_update()
        .set((
            absent::checks.eq(absent::checks + 1),
            absent::last_checked_at.eq(at),
        ))
        .execute(conn)?;
    Ok(())
}

fn save_failures(conn: &mut SqliteConnection, rows: &[FailureRow<'_>]) -> QueryResult<()> {
    diesel::insert_into(failures::table)
        .values(rows)
        .on_conflict(failures::id)
        .do_update()
        .set((
            failures::kind.eq(excluded(failures::kind)),
            failures::message.eq(excluded(failures::message)),
            failures::attempts.eq(excluded(failures::attempts)),
            failures::failed_at.eq(excluded(failures::failed_at)),
        ))
        .execute(conn)?;
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
