//! Databases on a PostgreSQL server.

use std::ffi::OsStr;

use diesel::PgConnection;

use super::{Connection, OpenedDatabase, connection, owner, rights};
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

pub(super) fn open_or_create(url: &PgLocation, demo: bool) -> Result<OpenedDatabase, CommandError> {
    let pool = open_to_write(url)?;
    let mut conn = connection(&pool)?;
    let prepared =
        require(&mut conn, rights::require_writing).and_then(|()| owner::prepare(&mut conn, demo));
    prepared.map_err(|why| unusable(url, why))?;
    OpenedDatabase::new(pool, conn)
}

/// Opens a database to change what is in it. Never makes the tables.
pub(super) fn open_existing(url: &PgLocation) -> Result<Connection, CommandError> {
    let pool = open_to_write(url)?;
    let mut conn = connection(&pool)?;
    let usable = require(&mut conn, rights::require_writing)
        .and_then(|()| while_locked(|| owner::require_items_table(&mut conn)))
        .and_then(|()| while_locked(|| migrations::run(&mut *conn)).map_err(CommandError::new));
    usable.map_err(|why| unusable(url, why))?;
    Ok(conn)
}

/// Opens a database that need not be writable, to read it.
pub(super) fn open_to_read(url: &PgLocation) -> Result<AnyConnection, CommandError> {
    let conn = while_locked(|| postgres::connect(url)).map_err(CommandError::new)?;
    let mut conn = AnyConnection::Postgres(conn);
    let usable = require(&mut conn, rights::require_reading)
        .and_then(|()| while_locked(|| owner::require_current_tables(&mut conn)));
    usable.map_err(|why| unusable(url, why))?;
    Ok(conn)
}

fn open_to_write(url: &PgLocation) -> Result<AnyPool, CommandError> {
    while_locked(|| AnyConnection::open(OsStr::new(url.secret_url()))).map_err(CommandError::new)
}

fn unusable(url: &PgLocation, CommandError(why): CommandError) -> CommandError {
    CommandError(format!("cannot use the database {url}: {why}"))
}

/// Works with a connection that is known to be one to a server.
fn require(
    conn: &mut AnyConnection,
    check: fn(&mut PgConnection) -> Result<(), CommandError>,
) -> Result<(), CommandError> {
    match conn {
        AnyConnection::Postgres(conn) => check(conn),
        AnyConnection::Sqlite(_) => Ok(()),
    }
}

/// Refuses a database that cannot be copied into.
pub(super) fn require_copying(
    url: &PgLocation,
    conn: &mut AnyConnection,
) -> Result<(), CommandError> {
    require(conn, rights::require_numbering).map_err(|why| unusable(url, why))
}
