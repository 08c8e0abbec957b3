//! The upsert of SQLite. Its text depends only on its number of rows, so a connection prepares it once.
//!
//! Diesel's own upserts are prepared each time, which takes SQLite as long as running them.

use diesel::{
    QueryResult, RunQueryDsl, SqliteConnection,
    query_builder::{AstPass, QueryFragment, QueryId},
    sql_types::BigInt,
    sqlite::Sqlite,
};

use super::stored::{Received, Stored, push_columns, push_conflict_clause};

/// Rows of the statement that stores most records. A larger statement is no faster.
const ROWS: usize = 50;

pub(super) fn save<R: Stored>(
    conn: &mut SqliteConnection,
    records: &[Received<'_, R>],
) -> QueryResult<()> {
    let (chunks, rest) = records.as_chunks::<ROWS>();
    for rows in chunks {
        Upsert { rows }.execute(conn)?;
    }
    for row in rest {
        let rows = std::array::from_ref(row);
        Upsert { rows }.execute(conn)?;
    }
    Ok(())
}

struct Upsert<'a, R, const N: usize> {
    rows: &'a [Received<'a, R>; N],
}

impl<R: Stored, const N: usize> QueryFragment<Sqlite> for Upsert<'_, R, N> {
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, Sqlite>) -> QueryResult<()> {
        push_columns::<R, Sqlite>(&mut out)?;
        out.push_sql("VALUES ");
        for (at, Received { record, fetched_at }) in self.rows.iter().enumerate() {
            out.push_sql(if at == 0 { "(" } else { "),(" });
            record.bind(&mut out)?;
            out.push_bind_param::<BigInt, _>(fetched_at)?;
        }
        out.push_sql(")");
        push_conflict_clause::<R, Sqlite>(&mut out)
    }
}

impl<R: Stored, const N: usize> QueryId for Upsert<'_, R, N> {
    type QueryId = Upsert<'static, R, N>;
    const HAS_STATIC_QUERY_ID: bool = true;
}

impl<R: Stored, const N: usize> RunQueryDsl<SqliteConnection> for Upsert<'_, R, N> {}
