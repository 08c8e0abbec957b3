//! Queries that give ids only.

use diesel::{QueryResult, QueryableByName, RunQueryDsl, sql_query, sql_types::BigInt};

use crate::hn::connection::{HnConnection, on_backend};

#[derive(QueryableByName)]
struct Row {
    #[diesel(sql_type = BigInt)]
    id: i64,
}

/// The ids of a query that selects a column `id`.
pub(super) fn ids(conn: &mut impl HnConnection, sql: String) -> QueryResult<Vec<i64>> {
    let query = sql_query(sql);
    let rows: Vec<Row> = on_backend!(conn, |conn| query.load(conn))?;
    Ok(rows.into_iter().map(|row| row.id).collect())
}
