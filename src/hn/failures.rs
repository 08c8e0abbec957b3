//! Reading the table of failures.

use diesel::{ExpressionMethods, QueryDsl, QueryResult, RunQueryDsl, SqliteConnection};

use super::schema::failures;
use crate::ingest::FailureKind;

/// Up to `most` ids after `after` that failed, in ascending order: of these kinds, or of any if there are none.
///
/// # Errors
/// Whatever Diesel says.
pub fn page(
    conn: &mut SqliteConnection,
    kinds: &[FailureKind],
    after: i64,
    most: i64,
) -> QueryResult<Vec<i64>> {
    let mut query = failures::table
        .filter(failures::id.gt(after))
        .order(failures::id)
        .limit(most)
        .select(failures::id)
        .into_boxed();
    if !kinds.is_empty() {
        let names = kinds.iter().map(|kind| kind.as_str());
        query = query.filter(failures::kind.eq_any(names));
    }
    query.load(conn)
}
