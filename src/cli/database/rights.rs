//! What a role of a PostgreSQL server must be allowed, and the GRANT that helps if it is not.

use diesel::{
    PgConnection, QueryResult, RunQueryDsl,
    dsl::{select, sql},
    sql_types::{Bool, Nullable, Text},
};

use crate::cli::exit::CommandError;

/// All tables of a mirror.
const TABLES: &str = "'items', 'users', 'item_history', 'absent', 'failures', 'lists', 'coverage', 'leases', 'cool_down', 'runs', \
    'hn_ingest', '__diesel_schema_migrations'";

const READ_ONLY: &str = "current_setting('transaction_read_only')::bool";

/// The schema, if the tables are not there yet and this role may not make them.
const SCHEMA_WITHOUT_RIGHTS: &str = "(SELECT quote_ident(current_schema())
    WHERE NOT has_schema_privilege(current_schema(), 'CREATE')
        AND to_regclass(format('%I.items', current_schema())) IS NULL)";

/// The sequence that numbers runs, if this role may not set it.
const SEQUENCE_WITHOUT_RIGHTS: &str = "(SELECT sequence
    FROM pg_get_serial_sequence(format('%I.runs', current_schema()), 'id') AS sequence
    WHERE NOT has_sequence_privilege(sequence, 'UPDATE'))";

/// Refuses a database that this role may not write.
pub(super) fn require_writing(conn: &mut PgConnection) -> Result<(), CommandError> {
    if select(sql::<Bool>(READ_ONLY))
        .get_result(conn)
        .map_err(failed)?
    {
        return Err(CommandError::new(
            "it is read-only; if its server is a standby in recovery, name the primary one, and else set default_transaction_read_only to off",
        ));
    }
    require_on_tables(conn, "write", &["SELECT", "INSERT", "UPDATE", "DELETE"])?;
    if let Some(schema) = text(conn, SCHEMA_WITHOUT_RIGHTS).map_err(failed)? {
        let what = format!("make tables in the schema {schema}");
        return Err(lacking(conn, &what, &format!("CREATE ON SCHEMA {schema}")));
    }
    Ok(())
}

/// Refuses a database that this role may not read.
pub(super) fn require_reading(conn: &mut PgConnection) -> Result<(), CommandError> {
    require_on_tables(conn, "read", &["SELECT"])
}

/// Refuses a database whose runs this role may not number, as a copy does.
pub(super) fn require_numbering(conn: &mut PgConnection) -> Result<(), CommandError> {
    match text(conn, SEQUENCE_WITHOUT_RIGHTS).map_err(failed)? {
        Some(sequence) => {
            let grant = format!("UPDATE ON SEQUENCE {sequence}");
            Err(lacking(conn, "number the runs that it copies", &grant))
        }
        None => Ok(()),
    }
}

fn require_on_tables(
    conn: &mut PgConnection,
    what: &str,
    rights: &[&str],
) -> Result<(), CommandError> {
    let has =
        |right| format!("has_table_privilege(format('%I.%I', schemaname, tablename), '{right}')");
    let has_all: Vec<_> = rights.iter().map(has).collect();
    let without = format!(
        "(SELECT string_agg(tablename, ', ' ORDER BY tablename) FROM pg_catalog.pg_tables
          WHERE schemaname = current_schema() AND tablename IN ({TABLES}) AND NOT ({}))",
        has_all.join(" AND ")
    );
    match text(conn, &without).map_err(failed)? {
        Some(tables) => {
            let what = format!("{what} the tables {tables}");
            let grant = format!("{} ON {tables}", rights.join(", "));
            Err(lacking(conn, &what, &grant))
        }
        None => Ok(()),
    }
}

fn lacking(conn: &mut PgConnection, what: &str, grant: &str) -> CommandError {
    match text(conn, "quote_ident(current_user)") {
        Ok(role) => CommandError(format!(
            "this role may not {what}; let the owner run GRANT {grant} TO {}, or name another role",
            role.unwrap_or_default()
        )),
        Err(error) => failed(error),
    }
}

fn text(conn: &mut PgConnection, query: &str) -> QueryResult<Option<String>> {
    select(sql::<Nullable<Text>>(query)).get_result(conn)
}

fn failed(error: diesel::result::Error) -> CommandError {
    CommandError(format!("it does not say what this role may do: {error}"))
}
