//! Whether anything has changed.

use diesel::{
    QueryResult, RunQueryDsl,
    dsl::{select, sql},
    sql_types::Text,
};

use crate::hn::connection::{HnConnection, on_backend};

/// A text that is another one, on this same connection, after other connections have committed a change. Cheap to read.
///
/// # Errors
/// Whatever Diesel says.
pub fn data_version(conn: &mut impl HnConnection) -> QueryResult<String> {
    let version = select(sql::<Text>(conn.dialect().data_version));
    on_backend!(conn, |conn| version.get_result(conn))
}
