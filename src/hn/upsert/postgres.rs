//! The upsert of PostgreSQL. Each column is one bound array, so the same statement takes any number of rows, and a connection
//! prepares it once.

use std::marker::PhantomData;

use diesel::{
    PgConnection, QueryResult, RunQueryDsl,
    pg::Pg,
    query_builder::{AstPass, QueryFragment, QueryId},
    sql_types::{Array, BigInt, Integer, Nullable, Text},
};

use super::{
    columns::Values,
    stored::{Received, Stored, push_columns, push_conflict_clause},
};

/// Rows of one statement. A larger one is hardly faster, and the server holds it all in memory.
const ROWS: usize = 1000;

/// A text of a column with an index is no longer than this, in bytes. An entry of an index has 2,704 at most.
const INDEXED_TEXT_MAX: usize = 2000;

pub(super) fn save<R: Stored>(
    conn: &mut PgConnection,
    records: &[Received<'_, R>],
) -> QueryResult<()> {
    for rows in records.chunks(ROWS) {
        // A text that its column cannot hold goes to `extra`.
        let changed: Vec<Option<R>> = rows
            .iter()
            .map(|row| row.record.with_misfits_in_extra(fits))
            .collect();
        let mut upsert = Upsert::<R>::new(rows.len());
        for (row, changed) in rows.iter().zip(&changed) {
            upsert.add(changed.as_ref().unwrap_or(row.record), row.fetched_at);
        }
        upsert.execute(conn)?;
    }
    Ok(())
}

/// Whether a column can hold a text.
pub(in crate::hn) fn fits(column: &str, text: &str) -> bool {
    let is_indexed = matches!(column, "type" | "by");
    !(text.contains('\0') || is_indexed && text.len() > INDEXED_TEXT_MAX)
}

struct Upsert<'a, R> {
    columns: Vec<Values<'a>>,
    fetched_at: Vec<i64>,
    rows: usize,
    record: PhantomData<R>,
}

impl<'a, R: Stored> Upsert<'a, R> {
    fn new(rows: usize) -> Self {
        Self {
            columns: Vec::new(),
            fetched_at: Vec::with_capacity(rows),
            rows,
            record: PhantomData,
        }
    }

    fn add(&mut self, record: &'a R, fetched_at: i64) {
        if self.columns.is_empty() {
            self.columns = R::empty_columns(self.rows);
        }
        record.add_to_columns(&mut self.columns);
        self.fetched_at.push(fetched_at);
    }
}

impl<R: Stored> QueryFragment<Pg> for Upsert<'_, R> {
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, Pg>) -> QueryResult<()> {
        push_columns::<R, Pg>(&mut out)?;
        out.push_sql("SELECT * FROM unnest(");
        for column in &self.columns {
            match column {
                Values::BigInt(values) => {
                    out.push_bind_param::<Array<Nullable<BigInt>>, _>(values)?;
                }
                Values::Integer(values) => {
                    out.push_bind_param::<Array<Nullable<Integer>>, _>(values)?;
                }
                Values::Text(values) => out.push_bind_param::<Array<Nullable<Text>>, _>(values)?,
            }
            out.push_sql("::");
            out.push_sql(column.sql_type());
            out.push_sql(",");
        }
        out.push_bind_param::<Array<BigInt>, _>(&self.fetched_at)?;
        out.push_sql("::bigint[])");
        push_conflict_clause::<R, Pg>(&mut out)
    }
}

impl<R: Stored> QueryId for Upsert<'_, R> {
    type QueryId = Upsert<'static, R>;
    const HAS_STATIC_QUERY_ID: bool = true;
}

impl<R: Stored> RunQueryDsl<PgConnection> for Upsert<'_, R> {}
