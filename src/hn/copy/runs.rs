//! Copies the runs that have ended. A run keeps its number, unless the target has another run of that number.

use std::collections::{HashMap, HashSet};

use diesel::{
    AsChangeset, BoolExpressionMethods, ExpressionMethods, Insertable, QueryDsl, QueryResult,
    Queryable, RunQueryDsl, Selectable, SelectableHelper,
};

use super::{
    page::{Page, ROWS},
    table::{CopiedTable, Target},
};
use crate::{
    hn::{
        connection::{HnConnection, on_backend},
        live_runs::{SILENCE_SECONDS, database_now},
        schema::runs,
        sink::outcomes::without_nul,
    },
    store::any::AnyConnection,
};

pub(super) struct Runs;

/// A run without its number.
#[derive(AsChangeset, Clone, Insertable, PartialEq, Queryable, Selectable)]
#[diesel(table_name = runs, treat_none_as_default_value = false, treat_none_as_null = true)]
pub(super) struct PastRun {
    command: String,
    host: String,
    pid: i64,
    machine: String,
    rate: i64,
    started_at: i64,
    heartbeat_at: i64,
    ids_per_second: i64,
    finished_at: Option<i64>,
    last_id: Option<i64>,
    requested: i64,
    stored: i64,
    absent: i64,
    failed: i64,
    not_attempted: i64,
    attempts: i64,
    bytes: i64,
}

/// Distinguishes a run from the others, on every database.
type Identity = (String, String, i64, String, i64);

impl PastRun {
    fn identity(&self) -> Identity {
        (
            self.command.clone(),
            self.host.clone(),
            self.pid,
            self.machine.clone(),
            self.started_at,
        )
    }

    fn without_nuls(mut self) -> Self {
        for text in [&mut self.command, &mut self.host, &mut self.machine] {
            *text = without_nul(text).into_owned();
        }
        self
    }
}

/// A run with its number.
type NumberedRun = (i64, PastRun);

impl CopiedTable for Runs {
    const NAME: &'static str = "runs";
    const NUMBER: Option<&'static str> = Some("id");
    type Key = i64;
    type Row = NumberedRun;

    fn read(
        from: &mut AnyConnection,
        after: Option<&i64>,
        target: Target,
    ) -> QueryResult<Page<NumberedRun, i64>> {
        // Otherwise a run under way would seem to work on the target, too.
        let earliest = database_now(from)? - SILENCE_SECONDS;
        let has_ended = runs::finished_at
            .is_not_null()
            .or(runs::heartbeat_at.le(earliest));
        let query = runs::table
            .filter(runs::id.gt(after.copied().unwrap_or(i64::MIN)))
            .filter(has_ended)
            .order(runs::id)
            .limit(ROWS);
        let mut rows: Vec<NumberedRun> = on_backend!(from, |conn| query
            .select((runs::id, PastRun::as_select()))
            .load(conn))?;
        if !target.holds_nul {
            let without_nuls = |(id, run): NumberedRun| (id, run.without_nuls());
            rows = rows.into_iter().map(without_nuls).collect();
        }
        Ok(Page {
            read: rows.len() as u64,
            last: rows.last().map(|(id, _)| *id),
            rows,
            refused: Vec::new(),
        })
    }

    fn write(to: &mut AnyConnection, rows: &[NumberedRun]) -> QueryResult<u64> {
        // Two copies at once would both see what is missing.
        to.lock_ledger()?;
        let starts: HashSet<_> = rows.iter().map(|(_, run)| run.started_at).collect();
        let present = runs::table.filter(runs::started_at.eq_any(starts));
        let present: Vec<NumberedRun> = on_backend!(to, |conn| present
            .select((runs::id, PastRun::as_select()))
            .load(conn))?;
        let present: HashMap<_, _> = present
            .into_iter()
            .map(|(id, run)| (run.identity(), (id, run)))
            .collect();
        let mut written = 0;
        for (id, run) in rows {
            match present.get(&run.identity()) {
                Some((_, present)) if present == run || present.heartbeat_at > run.heartbeat_at => {
                    continue;
                }
                Some((present, _)) => {
                    on_backend!(to, |conn| diesel::update(runs::table.find(*present))
                        .set(run)
                        .execute(conn))?;
                }
                None => insert(to, *id, run)?,
            }
            written += 1;
        }
        if written > 0 {
            number_later_runs_behind(to)?;
        }
        Ok(written)
    }

    fn number(id: &i64) -> i64 {
        *id
    }
}

fn insert(to: &mut AnyConnection, id: i64, run: &PastRun) -> QueryResult<()> {
    let inserted = on_backend!(to, |conn| diesel::insert_into(runs::table)
        .values((runs::id.eq(id), run))
        .on_conflict_do_nothing()
        .execute(conn))?;
    if inserted == 0 {
        number_later_runs_behind(to)?;
        on_backend!(to, |conn| diesel::insert_into(runs::table)
            .values(run)
            .execute(conn))?;
    }
    Ok(())
}

/// Lets the target number its next run behind all that it has. SQLite does so by itself.
fn number_later_runs_behind(to: &mut AnyConnection) -> QueryResult<()> {
    match to {
        AnyConnection::Sqlite(_) => Ok(()),
        #[cfg(feature = "postgres")]
        AnyConnection::Postgres(conn) => diesel::sql_query(
            "SELECT setval(pg_get_serial_sequence('runs', 'id'),
                 greatest((SELECT max(id) FROM runs), nextval(pg_get_serial_sequence('runs', 'id'))))",
        )
        .execute(conn)
        .map(drop),
    }
}
