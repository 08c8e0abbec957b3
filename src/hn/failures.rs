//! Reads the table `failures`.

use diesel::{ExpressionMethods, QueryDsl, QueryResult, RunQueryDsl};

use super::{
    connection::{HnConnection, on_backend},
    schema::failures,
};
use crate::ingest::FailureKind;

/// Up to `limit` ids after `after` that failed, in ascending order. Without `kinds`, of every kind.
///
/// # Errors
/// Whatever Diesel says.
pub fn page(
    conn: &mut impl HnConnection,
    kinds: &[FailureKind],
    after: i64,
    limit: i64,
) -> QueryResult<Vec<i64>> {
    on_backend!(conn, |conn| {
        let mut query = failures::table
            .filter(failures::id.gt(after))
            .order(failures::id)
            .limit(limit)
            .select(failures::id)
            .into_boxed();
        if !kinds.is_empty() {
            let names = kinds.iter().map(|kind| kind.as_str());
            query = query.filter(failures::kind.eq_any(names));
        }
        query.load(conn)
    })
}
