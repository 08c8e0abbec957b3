//! Opening the database of a command, and working with it where blocking is allowed.

pub(super) mod location;
mod look;
mod owner;
mod fresh_file;
pub(super) mod advice;

use std::path::{Path, PathBuf};

use self::{
    advice::{explained, with_next_step},
    fresh_file::FreshFile,
    look::look,
    owner::Owner,
};
use super::exit::CommandError;
use crate::{
    hn::migrations,
    store::{
        PooledConnection, StoreConnection,
        any::{AnyConnection, AnyIdentity, AnyPool},
        sqlite::{self, while_locked},
    },
};

/// A connection from the pool. It goes back to the pool when it is dropped.
pub(super) type Connection = PooledConnection<AnyConnection>;

/// A database that was opened to fetch into.
pub(super) struct OpenedDatabase {
    pub(super) pool: AnyPool,
    pub(super) identity: AnyIdentity,
}

/// Opens a database to fetch into. Creates the file if it does not exist.
pub(super) async fn open_or_create(
    path: PathBuf,
    demo: bool,
) -> Result<OpenedDatabase, CommandError> {
    blocking(move || {
        look(&path)?;
        let fresh_file = FreshFile::make(&path);
        let opened = open_to_write(&path, demo).map_err(|error| explained(&path, error));
        if opened.is_err()
            && let Some(file) = fresh_file
        {
            file.delete_if_empty();
        }
        opened
    })
    .await
}

fn open_to_write(path: &Path, demo: bool) -> Result<OpenedDatabase, CommandError> {
    let pool = AnyConnection::open(path.as_os_str()).map_err(CommandError::new)?;
    let mut conn = connection(&pool)?;
    prepare(&mut conn, demo)
        .map_err(|CommandError(why)| CommandError(format!("{}: {why}", path.display())))?;
    let identity = conn.identify().map_err(CommandError::new)?;
    drop(conn);
    Ok(OpenedDatabase { pool, identity })
}

fn prepare(conn: &mut AnyConnection, demo: bool) -> Result<(), CommandError> {
    let AnyConnection::Sqlite(conn) = conn;
    while_locked(|| Owner::read(conn))?.refuse_other()?;
    while_locked(|| migrations::run(conn)).map_err(CommandError::new)?;
    while_locked(|| owner::mark(conn, demo))
}

/// Refuses a database that does not exist, is empty, or belongs to another program.
pub(super) fn require_existing(path: &Path) -> Result<(), CommandError> {
    let name = path.display();
    match look(path)? {
        Owner::Nobody if path.exists() => {
            Err(CommandError(format!("{name}: {}", owner::HOLDS_NO_ITEMS)))
        }
        Owner::Nobody => Err(CommandError(format!(
            "there is no database {name}; `hn-ingest backfill` makes one of everything and `hn-ingest top` a small one, or name another with --database"
        ))),
        _ => Ok(()),
    }
}

/// Opens a database to change what is in it. Never creates the file. To be called where blocking is allowed.
pub(super) fn open_existing(path: &Path) -> Result<Connection, CommandError> {
    require_existing(path)?;
    let opened = || {
        let pool = AnyConnection::open(path.as_os_str()).map_err(CommandError::new)?;
        let mut conn = connection(&pool)?;
        while_locked(|| owner::require_items_table(&mut conn))?;
        while_locked(|| migrations::run(&mut *conn)).map_err(CommandError::new)?;
        Ok(conn)
    };
    opened().map_err(|error| explained(path, error))
}

/// Opens a database that need not be writable, to read it. To be called where blocking is allowed.
pub(super) fn open_to_read(path: &Path) -> Result<AnyConnection, CommandError> {
    require_existing(path)?;
    let mut conn = AnyConnection::Sqlite(sqlite::open_read_only(path).map_err(CommandError::new)?);
    let usable = while_locked(|| owner::require_items_table(&mut conn)).and_then(|()| {
        let is_current = while_locked(|| migrations::is_current(&mut conn));
        if is_current.map_err(CommandError::new)? {
            return Ok(());
        }
        Err(CommandError::new(
            "the database is from an earlier version of this program; a run on it brings it up to date, such as `hn-ingest top`",
        ))
    });
    usable.map_err(|CommandError(why)| CommandError(format!("{}: {why}", path.display())))?;
    Ok(conn)
}

/// A connection of the pool. To be called where blocking is allowed: a new connection waits for locks.
pub(super) fn connection(pool: &AnyPool) -> Result<Connection, CommandError> {
    while_locked(|| pool.get())
        .map_err(|error| CommandError(format!("the database gives no connection: {error}")))
}

/// Works with a connection of the pool on a blocking thread.
pub(super) async fn with_connection<T: Send + 'static>(
    pool: &AnyPool,
    work: impl FnOnce(&mut AnyConnection) -> Result<T, CommandError> + Send + 'static,
) -> Result<T, CommandError> {
    let pool = pool.clone();
    blocking(move || work(&mut *connection(&pool)?)).await
}

/// Does work on a blocking thread. Whatever waits for a lock belongs there, so that the arbiter goes on.
pub(super) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, CommandError> + Send + 'static,
) -> Result<T, CommandError> {
    let done = actix_rt::task::spawn_blocking(work).await;
    done.unwrap_or_else(|panic| Err(CommandError::new(panic)))
        .map_err(with_next_step)
}
