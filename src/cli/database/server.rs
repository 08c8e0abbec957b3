//! Databases on a PostgreSQL server.

use std::ffi::OsStr;

use diesel::{
    RunQueryDsl,
    dsl::{select, sql},
    sql_types::{Bool, Nullable, Text},
};

use super::{Connection, OpenedDatabase, connection, owner};
use crate::{
    cli::exit::CommandError,
    hn::migrations,
    store::{
        StoreConnection,
        any::{AnyConnection, AnyPool},
        locks::while_locked,
        postgres::{self, PgLocation},
    },
};

const READ_ONLY: &str = "current_setting('transaction_read_only')::bool";

/// The tables that this role may not write.
const NOT_WRITABLE: &str = "(SELECT string_agg(tablename, ', ') FROM pg_catalog.pg_tables
    WHERE schemaname = current_schema()
        AND tablename IN ('items', 'users', 'item_history', 'absent', 'failures', 'lists', 'coverage', 'leases', 'cool_down', 'runs', 'hn_ingest', '__diesel_schema_migrations')
        AND NOT (has_table_privilege(format('%I.%I', schemaname, tablename), 'SELECT')
            AND has_table_privilege(format('%I.%I', schemaname, tablename), 'INSERT')
            AND has_table_privilege(format('%I.%I', schemaname, tablename), 'UPDATE')
            AND has_table_privilege(format('%I.%I', schemaname, tablename), 'DELETE')))";

/// The schema, if the tables are not there yet and this role may not make them.
const SCHEMA_WITHOUT_RIGHTS: &str = "(SELECT current_schema()::text
    WHERE NOT has_schema_privilege(current_schema(), 'CREATE')
        AND to_regclass(format('%I.items', current_schema())) IS NULL)";

pub(super) fn open_or_create(url: &PgLocation, demo: bool) -> Result<OpenedDatabase, CommandError> {
    let pool = open_to_write(url)?;
    let mut conn = connection(&pool)?;
    let prepared = require_rights(&mut conn).and_then(|()| owner::prepare(&mut conn, demo));
    prepared.map_err(|why| unusable(url, why))?;
    let identity = conn.identify().map_err(CommandError::new)?;
    drop(conn);
    Ok(OpenedDatabase {
        pool,
        identity,
        fresh_file: None,
    })
}

/// Opens a database to change what is in it. Never makes the tables.
pub(super) fn open_existing(url: &PgLocation) -> Result<Connection, CommandError> {
    let pool = open_to_write(url)?;
    let mut conn = connection(&pool)?;
    let usable = require_rights(&mut conn)
        .and_then(|()| while_locked(|| owner::require_items_table(&mut conn)))
        .and_then(|()| while_locked(|| migrations::run(&mut *conn)).map_err(CommandError::new));
    usable.map_err(|why| unusable(url, why))?;
    Ok(conn)
}

/// Opens a database that need not be writable, to read it.
pub(super) fn open_to_read(url: &PgLocation) -> Result<AnyConnection, CommandError> {
    let conn = while_locked(|| postgres::connect(url)).map_err(CommandError::new)?;
    let mut conn = AnyConnection::Postgres(conn);
    while_locked(|| owner::require_current_tables(&mut conn)).map_err(|why| unusable(url, why))?;
    Ok(conn)
}

fn open_to_write(url: &PgLocation) -> Result<AnyPool, CommandError> {
    while_locked(|| AnyConnection::open(OsStr::new(url.secret_url()))).map_err(CommandError::new)
}

fn unusable(url: &PgLocation, CommandError(why): CommandError) -> CommandError {
    CommandError(format!("cannot use the database {url}: {why}"))
}

/// Refuses a database that this role may not write.
fn require_rights(conn: &mut AnyConnection) -> Result<(), CommandError> {
    let AnyConnection::Postgres(conn) = conn else {
        return Ok(());
    };
    let failed = |error| CommandError(format!("it does not say what this role may do: {error}"));
    if select(sql::<Bool>(READ_ONLY))
        .get_result(conn)
        .map_err(failed)?
    {
        return Err(CommandError::new(
            "it is read-only; if its server is a standby in recovery, name the primary one, and else set default_transaction_read_only to off",
        ));
    }
    let mut text = |query| {
        let text = select(sql::<Nullable<Text>>(query));
        text.get_result::<Option<String>>(conn).map_err(failed)
    };
    if let Some(tables) = text(NOT_WRITABLE)? {
        return Err(CommandError(format!(
            "this role may not write the tables {tables}; let their owner GRANT SELECT, INSERT, UPDATE and DELETE on them, or name another role"
        )));
    }
    if let Some(schema) = text(SCHEMA_WITHOUT_RIGHTS)? {
        return Err(CommandError(format!(
            "this role may not make tables in the schema {schema}; let its owner GRANT CREATE ON SCHEMA {schema}, or name another role or database"
        )));
    }
    Ok(())
}
