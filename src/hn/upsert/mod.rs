//! The statement that stores records: items or users. Each database has its own.

mod stored;
#[cfg(feature = "postgres")]
mod columns;
mod sqlite;
#[cfg(feature = "postgres")]
mod postgres;

use diesel::QueryResult;

#[cfg(all(feature = "cli", feature = "postgres"))]
pub(super) use self::postgres::fits as fits_postgres;

pub(super) use self::stored::{Received, Stored};
use super::connection::{Backend, HnConnection};

/// Stores records. Each replaces the stored one of its id, unless that was received later. No id may come twice.
pub(super) fn save<R: Stored>(
    conn: &mut impl HnConnection,
    records: &[Received<'_, R>],
) -> QueryResult<()> {
    match conn.backend() {
        Backend::Sqlite(conn) => sqlite::save(conn, records),
        #[cfg(feature = "postgres")]
        Backend::Postgres(conn) => postgres::save(conn, records),
    }
}
