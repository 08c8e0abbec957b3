//! The cool-down that all processes of a database share: until when the API wants no requests.

use std::time::Duration;

use diesel::{ExpressionMethods, QueryDsl, QueryResult, RunQueryDsl, dsl::sql, sql_types::BigInt};

use super::{
    connection::{HnConnection, on_backend},
    schema::cool_down,
};

/// How much is left of it.
///
/// # Errors
/// Whatever Diesel says.
pub(crate) fn rest(conn: &mut impl HnConnection) -> QueryResult<Duration> {
    let rest = cool_down::until_ms - sql::<BigInt>(conn.dialect().now_ms);
    let row = cool_down::table.select(rest);
    let rest: i64 = on_backend!(conn, |conn| row.first(conn))?;
    Ok(Duration::from_millis(u64::try_from(rest).unwrap_or(0)))
}

/// Ends it.
///
/// # Errors
/// Whatever Diesel says.
pub(crate) fn forget(conn: &mut impl HnConnection) -> QueryResult<()> {
    on_backend!(conn, |conn| diesel::update(cool_down::table)
        .filter(cool_down::until_ms.gt(0))
        .set(cool_down::until_ms.eq(0))
        .execute(conn))?;
    Ok(())
}

/// Makes it last at least `rest` from now on.
///
/// # Errors
/// Whatever Diesel says.
pub(crate) fn extend(conn: &mut impl HnConnection, rest: Duration) -> QueryResult<()> {
    let rest = i64::try_from(rest.as_millis()).unwrap_or(i64::MAX / 2);
    let now = conn.dialect().now_ms;
    let until = || sql::<BigInt>(now) + rest;
    on_backend!(conn, |conn| diesel::update(cool_down::table)
        .filter(cool_down::until_ms.lt(until()))
        .set(cool_down::until_ms.eq(until()))
        .execute(conn))?;
    Ok(())
}
