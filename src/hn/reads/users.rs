//! Users by their names.

use diesel::{ExpressionMethods, OptionalExtension, QueryDsl, QueryResult, Queryable, RunQueryDsl};

use crate::hn::{
    User,
    connection::{HnConnection, on_backend},
    schema::{items, users},
};

/// A user, and when the API gave the profile.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct StoredUser {
    /// The user.
    pub user: User,
    /// When the answer was received, in Unix seconds.
    pub fetched_at: i64,
}

/// A row of `users`, its columns in the table's order.
#[derive(Queryable)]
struct Row {
    id: String,
    created: Option<i64>,
    karma: Option<i64>,
    about: Option<String>,
    submitted: Option<String>,
    extra: Option<String>,
    fetched_at: i64,
}

/// The user of this name. Upper and lower case differ.
///
/// # Errors
/// Whatever Diesel says.
pub fn user(conn: &mut impl HnConnection, name: &str) -> QueryResult<Option<StoredUser>> {
    // No database keeps a NUL, and PostgreSQL refuses it.
    if name.contains('\0') || name.len() > User::NAME_MAX {
        return Ok(None);
    }
    let row: Option<Row> =
        on_backend!(conn, |conn| users::table.find(name).first(conn)).optional()?;
    Ok(row.map(|row| StoredUser {
        user: User {
            id: row.id,
            created: row.created,
            karma: row.karma,
            about: row.about,
            submitted: row.submitted,
            extra: row.extra,
        },
        fetched_at: row.fetched_at,
    }))
}

/// Names of authors of stored items, each once, up to `most`. Reads every item.
///
/// # Errors
/// Whatever Diesel says.
pub fn authors(conn: &mut impl HnConnection, most: usize) -> QueryResult<Vec<String>> {
    let most = i64::try_from(most).unwrap_or(i64::MAX);
    let names: Vec<Option<String>> = on_backend!(conn, |conn| items::table
        .filter(items::by.is_not_null())
        .select(items::by)
        .distinct()
        .limit(most)
        .load(conn))?;
    Ok(names.into_iter().flatten().collect())
}
