//! The mark that a database carries: real items, or a demo's made-up ones.
//!
//! SQLite keeps a number for this in the file's header, the `application_id`. On PostgreSQL it is in the table `hn_ingest`.

#[cfg(feature = "postgres")]
use diesel::sql_types::{Nullable, Text};
use diesel::{
    QueryResult, RunQueryDsl, SqliteConnection,
    connection::SimpleConnection,
    dsl::{select, sql},
    sql_types::{Bool, Integer},
};

use crate::store::any::AnyConnection;

/// The id of a file with real items: "HNin".
const REAL: i32 = 0x484e_696e;
/// The id of a file with a demo's items: "HNde".
const DEMO: i32 = 0x484e_6465;
/// The id of a file that no program has marked. SQLite's default.
const UNMARKED: i32 = 0;

/// Whose items a database holds, as its mark says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mark {
    Unmarked,
    Real,
    Demo,
    /// Another program's mark.
    Other,
}

impl Mark {
    /// What the `application_id` of a file says.
    pub(super) fn of_application_id(id: i32) -> Self {
        match id {
            UNMARKED => Self::Unmarked,
            REAL => Self::Real,
            DEMO => Self::Demo,
            _ => Self::Other,
        }
    }

    pub(super) fn read(conn: &mut AnyConnection) -> QueryResult<Self> {
        match conn {
            AnyConnection::Sqlite(conn) => {
                let id = sql::<Integer>("SELECT application_id FROM pragma_application_id");
                id.get_result(conn).map(Self::of_application_id)
            }
            #[cfg(feature = "postgres")]
            AnyConnection::Postgres(conn) => {
                if !select(sql::<Bool>(HAS_MARK)).get_result(conn)? {
                    return Ok(Self::Unmarked);
                }
                let value =
                    select(sql::<Nullable<Text>>(VALUE)).get_result::<Option<String>>(conn)?;
                Ok(match value.as_deref() {
                    None => Self::Unmarked,
                    Some("real") => Self::Real,
                    Some("demo") => Self::Demo,
                    Some(_) => Self::Other,
                })
            }
        }
    }

    /// Writes the mark for real or for demo items.
    pub(super) fn write(conn: &mut AnyConnection, demo: bool) -> QueryResult<()> {
        match conn {
            AnyConnection::Sqlite(conn) => {
                let id = if demo { DEMO } else { REAL };
                conn.batch_execute(&format!("PRAGMA application_id = {id}"))
            }
            #[cfg(feature = "postgres")]
            AnyConnection::Postgres(conn) => {
                let value = if demo { "demo" } else { "real" };
                conn.batch_execute(&format!(
                    "UPDATE hn_ingest SET value = '{value}' WHERE name = 'ledger'"
                ))
            }
        }
    }
}

#[cfg(feature = "postgres")]
const HAS_MARK: &str = "EXISTS (SELECT FROM pg_catalog.pg_tables
    WHERE schemaname = current_schema() AND tablename = 'hn_ingest')";

#[cfg(feature = "postgres")]
const VALUE: &str = "(SELECT value FROM hn_ingest WHERE name = 'ledger')";

/// Whether there is any table or view.
pub(super) fn has_tables(conn: &mut AnyConnection) -> QueryResult<bool> {
    match conn {
        AnyConnection::Sqlite(conn) => holds(
            conn,
            "EXISTS (SELECT 1 FROM sqlite_schema WHERE name NOT LIKE 'sqlite_%')",
        ),
        // An extension, which an administrator may have added everywhere, has tables too.
        #[cfg(feature = "postgres")]
        AnyConnection::Postgres(conn) => select(sql::<Bool>(
            "EXISTS (SELECT FROM pg_catalog.pg_class c
                WHERE relnamespace = current_schema()::regnamespace AND relkind IN ('r', 'p', 'v', 'm', 'f', 'S')
                AND NOT EXISTS (SELECT FROM pg_catalog.pg_depend d
                    WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'e'))",
        ))
        .get_result(conn),
    }
}

/// Whether a condition that every database understands is true.
pub(super) fn is_true(conn: &mut AnyConnection, condition: &str) -> QueryResult<bool> {
    match conn {
        AnyConnection::Sqlite(conn) => holds(conn, condition),
        #[cfg(feature = "postgres")]
        AnyConnection::Postgres(conn) => select(sql::<Bool>(condition)).get_result(conn),
    }
}

fn holds(conn: &mut SqliteConnection, condition: &str) -> QueryResult<bool> {
    select(sql::<Bool>(condition)).get_result(conn)
}
