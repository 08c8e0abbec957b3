//! Opening the database of a command.

pub(super) mod location;
mod owner;

use std::path::Path;

use diesel::{
    SqliteConnection,
    r2d2::{ConnectionManager, PooledConnection},
};

use super::exit::CommandError;
use crate::{
    hn::migrations,
    store::sqlite::{self, SqlitePool, while_locked},
};

/// A connection from the pool. It goes back to the pool when it is dropped.
type Connection = PooledConnection<ConnectionManager<SqliteConnection>>;

/// Opens a database to fetch into. Creates the file if it does not exist.
pub(super) fn open_or_create(path: &Path, demo: bool) -> Result<SqlitePool, CommandError> {
    let pool = sqlite::open(path).map_err(CommandError::new)?;
    let mut conn = connection(&pool)?;
    prepare(&mut conn, demo)
        .map_err(|CommandError(why)| CommandError(format!("{}: {why}", path.display())))?;
    Ok(pool)
}

fn prepare(conn: &mut SqliteConnection, demo: bool) -> Result<(), CommandError> {
    owner::refuse_other_programs(conn)?;
    while_locked(|| migrations::run(conn)).map_err(CommandError::new)?;
    while_locked(|| owner::mark(conn, demo))
}

/// Opens a database for a command that makes no sense without one. Never creates the file.
pub(super) fn open_existing(path: &Path) -> Result<SqlitePool, CommandError> {
    let name = path.display();
    if !path.is_file() {
        return Err(CommandError(format!(
            "there is no database {name}; `hn-ingest backfill` makes one of everything and `hn-ingest top` a small one, or name another with --database"
        )));
    }
    let pool = sqlite::open(path).map_err(CommandError::new)?;
    let mut conn = connection(&pool)?;
    owner::require_items_table(&mut conn)
        .and_then(|()| while_locked(|| migrations::run(&mut conn)).map_err(CommandError::new))
        .map_err(|CommandError(why)| CommandError(format!("{name}: {why}")))?;
    Ok(pool)
}

pub(super) fn connection(pool: &SqlitePool) -> Result<Connection, CommandError> {
    pool.get()
        .map_err(|error| CommandError(format!("the database gives no connection: {error}")))
}
