//! Copies absences and failures. As in a batch, one is left out if the target has a newer outcome of its id.

use std::collections::HashMap;

use diesel::{
    ExpressionMethods, Insertable, QueryDsl, QueryResult, Queryable, RunQueryDsl,
    dsl::sql,
    sql_types::{BigInt, Binary, Nullable, Text},
};

use super::{
    page::{Columns, Misfit, Page, ROWS, ReadRow, require_types, some_text},
    table::{CopiedTable, Target},
};
use crate::{
    hn::{
        connection::{HnConnection, on_backend},
        schema::{absent, failures},
        sink::outcomes::{absent_times, delete_older_outcomes, stored_times, without_nul},
    },
    store::any::AnyConnection,
};

pub(super) struct Absences;

#[derive(Insertable, PartialEq, Queryable)]
#[diesel(table_name = absent, treat_none_as_default_value = false)]
pub(super) struct Absence {
    id: i64,
    checks: i64,
    first_checked_at: i64,
    last_checked_at: i64,
}

const ABSENCE: Columns = Columns {
    texts: &[],
    numbers: &["checks", "first_checked_at", "last_checked_at"],
    flags: &[],
};

impl CopiedTable for Absences {
    const NAME: &'static str = "absent";
    const NUMBER: Option<&'static str> = Some("id");
    type Key = i64;
    type Row = Absence;

    fn read(
        from: &mut AnyConnection,
        after: Option<&i64>,
        _: Target,
    ) -> QueryResult<Page<Absence, i64>> {
        let Some(first) = after.map_or(Some(i64::MIN), |id| id.checked_add(1)) else {
            return Page::of(Self::NAME, std::iter::empty());
        };
        let misfit = sql::<Nullable<Text>>(&ABSENCE.misfit_column(from.dialect()));
        let rows = absent::table
            .filter(absent::id.ge(first))
            .order(absent::id)
            .limit(ROWS)
            .select((absent::all_columns, misfit));
        let rows: Vec<(Absence, Option<String>)> = on_backend!(from, |conn| rows.load(conn))?;
        let rows = rows.into_iter().map(|(row, misfit)| {
            Ok(ReadRow {
                key: row.id,
                row: require_types(misfit).map(|()| row),
                bytes: size_of::<Absence>(),
            })
        });
        Page::of(Self::NAME, rows)
    }

    fn write(to: &mut AnyConnection, rows: &[Absence]) -> QueryResult<u64> {
        to.lock_ledger()?;
        let ids: Vec<_> = rows.iter().map(|row| row.id).collect();
        let stored = stored_times(to, &ids)?;
        let present = absent::table.filter(absent::id.eq_any(&ids));
        let present: Vec<Absence> = on_backend!(to, |conn| present.load(conn))?;
        let present: HashMap<_, _> = present.into_iter().map(|row| (row.id, row)).collect();
        let newer: Vec<_> = rows
            .iter()
            .filter(|row| {
                let is_stored_later = stored
                    .get(&row.id)
                    .is_some_and(|time| *time > row.last_checked_at);
                let is_present = present.get(&row.id).is_some_and(|present| {
                    present == *row || present.last_checked_at > row.last_checked_at
                });
                !is_stored_later && !is_present
            })
            .collect();
        let replaced: Vec<_> = newer.iter().map(|row| row.id).collect();
        let replaced = absent::table.filter(absent::id.eq_any(replaced));
        on_backend!(to, |conn| diesel::delete(replaced).execute(conn))?;
        on_backend!(to, |conn| diesel::insert_into(absent::table)
            .values(newer.clone())
            .execute(conn))?;
        let answers: Vec<_> = newer
            .iter()
            .map(|row| (row.id, row.last_checked_at))
            .collect();
        delete_older_outcomes(to, &[], &answers)?;
        Ok(newer.len() as u64)
    }

    fn number(id: &i64) -> i64 {
        *id
    }
}

pub(super) struct Failures;

#[derive(Insertable, PartialEq, Queryable)]
#[diesel(table_name = failures, treat_none_as_default_value = false)]
pub(super) struct Failure {
    id: i64,
    kind: String,
    message: String,
    attempts: i64,
    failed_at: i64,
}

const FAILURE: Columns = Columns {
    texts: &["kind", "message"],
    numbers: &["attempts", "failed_at"],
    flags: &[],
};

type FailureTypes = (BigInt, Binary, Binary, BigInt, BigInt, Nullable<Text>);
type FailureColumns = (i64, Vec<u8>, Vec<u8>, i64, i64, Option<String>);

fn failure(columns: FailureColumns, target: Target) -> Result<Failure, Misfit> {
    let (id, kind, message, attempts, failed_at, misfit) = columns;
    require_types(misfit)?;
    let [kind, message] = [("kind", kind), ("message", message)].map(|(column, bytes)| {
        let text = some_text(column, bytes)?;
        // As the sink writes it there.
        Ok(if target.holds_nul {
            text
        } else {
            without_nul(&text).into_owned()
        })
    });
    Ok(Failure {
        id,
        kind: kind?,
        message: message?,
        attempts,
        failed_at,
    })
}

impl CopiedTable for Failures {
    const NAME: &'static str = "failures";
    const NUMBER: Option<&'static str> = Some("id");
    type Key = i64;
    type Row = Failure;

    fn read(
        from: &mut AnyConnection,
        after: Option<&i64>,
        target: Target,
    ) -> QueryResult<Page<Failure, i64>> {
        let Some(first) = after.map_or(Some(i64::MIN), |id| id.checked_add(1)) else {
            return Page::of(Self::NAME, std::iter::empty());
        };
        let misfit = FAILURE.misfit_column(from.dialect());
        let columns = format!("id, kind, message, attempts, failed_at, {misfit}");
        let rows = failures::table
            .filter(failures::id.ge(first))
            .order(failures::id)
            .limit(ROWS)
            .select(sql::<FailureTypes>(&columns));
        let read = |row: FailureColumns| ReadRow {
            key: row.0,
            bytes: size_of::<Failure>() + row.2.len(),
            row: failure(row, target),
        };
        on_backend!(from, |conn, Mode| {
            let rows = rows.load_iter::<FailureColumns, Mode>(conn)?;
            Page::of(Self::NAME, rows.map(|row| row.map(read)))
        })
    }

    fn write(to: &mut AnyConnection, rows: &[Failure]) -> QueryResult<u64> {
        to.lock_ledger()?;
        let ids: Vec<_> = rows.iter().map(|row| row.id).collect();
        let stored = stored_times(to, &ids)?;
        let absent = absent_times(to, &ids)?;
        let present = failures::table.filter(failures::id.eq_any(&ids));
        let present: Vec<Failure> = on_backend!(to, |conn| present.load(conn))?;
        let present: HashMap<_, _> = present.into_iter().map(|row| (row.id, row)).collect();
        let newer: Vec<_> = rows
            .iter()
            .filter(|row| {
                let mut later = [&stored, &absent].into_iter();
                let has_later =
                    later.any(|times| times.get(&row.id).is_some_and(|time| *time > row.failed_at));
                let is_present = present
                    .get(&row.id)
                    .is_some_and(|present| present == *row || present.failed_at > row.failed_at);
                !has_later && !is_present
            })
            .collect();
        let replaced: Vec<_> = newer.iter().map(|row| row.id).collect();
        let replaced = failures::table.filter(failures::id.eq_any(replaced));
        on_backend!(to, |conn| diesel::delete(replaced).execute(conn))?;
        on_backend!(to, |conn| diesel::insert_into(failures::table)
            .values(newer.clone())
            .execute(conn))?;
        Ok(newer.len() as u64)
    }

    fn number(id: &i64) -> i64 {
        *id
    }
}
