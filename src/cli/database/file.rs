//! Databases in files of SQLite's.

use std::path::Path;

use super::{
    Connection, OpenedDatabase,
    advice::explained,
    connection,
    fresh_file::FreshFile,
    look::look,
    owner::{self, Owner},
};
use crate::{
    cli::exit::CommandError,
    hn::migrations,
    store::{StoreConnection, any::AnyConnection, locks::while_locked, sqlite},
};

pub(super) fn open_or_create(path: &Path, demo: bool) -> Result<OpenedDatabase, CommandError> {
    look(path)?;
    let fresh_file = FreshFile::make(path);
    match open_to_write(path, demo) {
        Ok(opened) => Ok(OpenedDatabase {
            fresh_file: fresh_file.map(FreshFile::delete_if_unused),
            ..opened
        }),
        Err(error) => {
            if let Some(file) = fresh_file {
                file.delete_if_empty();
            }
            Err(explained(path, error))
        }
    }
}

fn open_to_write(path: &Path, demo: bool) -> Result<OpenedDatabase, CommandError> {
    let pool = AnyConnection::open(path.as_os_str()).map_err(CommandError::new)?;
    let mut conn = connection(&pool)?;
    owner::prepare(&mut conn, demo)
        .map_err(|CommandError(why)| CommandError(format!("{}: {why}", path.display())))?;
    OpenedDatabase::new(pool, conn)
}

/// Refuses a database that does not exist, is empty, or belongs to another program. `demo`: whether it is to be one of `--demo`.
pub(super) fn require_existing(path: &Path, demo: bool) -> Result<(), CommandError> {
    let name = path.display();
    match look(path)? {
        Owner::Empty if path.exists() => {
            Err(CommandError(format!("{name}: {}", owner::HOLDS_NO_ITEMS)))
        }
        Owner::Empty => {
            let demo = if demo { " --demo" } else { "" };
            Err(CommandError(format!(
                "there is no database {name}; `hn-ingest backfill{demo}` makes one of everything and `hn-ingest top{demo}` a small one, or name another with --database"
            )))
        }
        _ => Ok(()),
    }
}

/// Opens a database to change what is in it. Never creates the file.
pub(super) fn open_existing(path: &Path, demo: bool) -> Result<Connection, CommandError> {
    require_existing(path, demo)?;
    let opened = || {
        let pool = AnyConnection::open(path.as_os_str()).map_err(CommandError::new)?;
        let mut conn = connection(&pool)?;
        while_locked(|| owner::require_items_table(&mut conn))?;
        while_locked(|| migrations::run(&mut *conn)).map_err(CommandError::new)?;
        Ok(conn)
    };
    opened().map_err(|error| explained(path, error))
}

/// Opens a database that need not be writable, to read it.
pub(super) fn open_to_read(path: &Path, demo: bool) -> Result<AnyConnection, CommandError> {
    require_existing(path, demo)?;
    let mut conn = AnyConnection::Sqlite(sqlite::open_read_only(path).map_err(CommandError::new)?);
    while_locked(|| owner::require_current_tables(&mut conn))
        .map_err(|CommandError(why)| CommandError(format!("{}: {why}", path.display())))?;
    Ok(conn)
}
