//! SQLite as a store: opening a file, waiting for its locks, and what its messages mean.

pub(super) mod classify;
#[cfg(feature = "serve")]
mod deadline;
mod file_name;
mod file_identity;
#[cfg(any(feature = "cli", feature = "serve"))]
mod read_only;

use std::{ffi::OsStr, path::Path, time::Duration};

use diesel::{
    Connection, QueryResult, SqliteConnection,
    connection::{AnsiTransactionManager, SimpleConnection, TransactionManager},
    r2d2::{Builder, ConnectionManager, CustomizeConnection, Error as PoolError, ManageConnection},
    result::Error,
};

#[cfg(all(feature = "serve", test))]
pub(crate) use self::deadline::register_within_time;
#[cfg(feature = "serve")]
pub(crate) use self::deadline::{check_deadline, with_deadline};
pub use self::file_identity::FileIdentity;
#[cfg(feature = "serve")]
pub(crate) use self::read_only::{FrozenFile, open_watched};
#[cfg(feature = "cli")]
pub(crate) use self::{
    classify::is_about_lock,
    file_name::{LOG_SUFFIX, beside},
    read_only::{open_read_only, open_unlocked},
};
use self::{
    classify::{classify, unusable},
    file_name::file_name,
};
use super::{ErrorClass, Pool, StoreConnection, StoreError, locks::while_locked, pool};

/// A pool of SQLite connections.
pub type SqlitePool = Pool<SqliteConnection>;

/// Longer than the busy timeout of a connection. Otherwise the pool gives up while a connection still waits for a lock.
const CHECKOUT_TIMEOUT: Duration = Duration::from_secs(30);

/// In this order: the statements after the busy timeout then wait for locks too. The timeout is short, because nothing can end this
/// wait early. A caller that waits longer tries again, and looks between two attempts whether to go on.
const PRAGMAS: [&str; 3] = [
    "PRAGMA busy_timeout = 1000",
    "PRAGMA foreign_keys = ON",
    "PRAGMA synchronous = NORMAL",
];

impl StoreConnection for SqliteConnection {
    /// `None` for a database that is in no file.
    type Identity = Option<FileIdentity>;
    type Manager = ConnectionManager<Self>;
    type Error = Error;

    fn open(location: &OsStr) -> Result<SqlitePool, StoreError> {
        open(Path::new(location))
    }

    fn identify(&mut self) -> Result<Self::Identity, StoreError> {
        FileIdentity::of(self)
    }

    fn check(identity: &Self::Identity) -> Result<(), String> {
        identity.as_ref().map_or(Ok(()), FileIdentity::check)
    }

    /// Takes the write lock at once: a transaction that first reads and then writes can find that it may not wait for the lock.
    fn begin_write(&mut self) -> QueryResult<()> {
        AnsiTransactionManager::begin_transaction_sql(self, "BEGIN IMMEDIATE")
    }

    fn commit(&mut self) -> QueryResult<()> {
        AnsiTransactionManager::commit_transaction(self)
    }

    fn roll_back(&mut self) -> QueryResult<()> {
        AnsiTransactionManager::rollback_transaction(self)
    }

    fn classify(&self, error: &Error) -> ErrorClass {
        classify(error)
    }
}

/// Opens a file as a pool, and creates the file if there is none: WAL, `synchronous=NORMAL`, foreign keys on, and a busy timeout
/// of 1 s. Waits for up to a minute while another program has locked the file, so call it where blocking is allowed.
///
/// # Errors
/// The path is not UTF-8, the file cannot be opened, it is not a database, or it stays locked.
pub fn open(path: &Path) -> Result<SqlitePool, StoreError> {
    let name = prepare_file(path)?;
    pool_builder()
        .connection_customizer(Box::new(SetPragmas))
        .build(ConnectionManager::new(name))
        .map_err(|error| StoreError::NoConnection(error.to_string()))
}

/// Opens a file once, creates it if there is none, and sets it to WAL. Returns its name as SQLite takes it.
pub(super) fn prepare_file(path: &Path) -> Result<String, StoreError> {
    let name = file_name(path)?;
    let unusable = |source| unusable(path, source);
    let mut first = SqliteConnection::establish(&name).map_err(|source| StoreError::Open {
        path: path.to_owned(),
        source,
    })?;
    while_locked(|| set_pragmas(&mut first)).map_err(unusable)?;
    // When several programs open a fresh file at once, the switch to WAL can find it locked without waiting. Reading the schema
    // shows right away whether SQLite can make its files beside the database.
    while_locked(|| first.batch_execute("PRAGMA journal_mode = WAL")).map_err(unusable)?;
    while_locked(|| first.batch_execute("SELECT count(*) FROM sqlite_schema")).map_err(unusable)?;
    Ok(name)
}

/// The settings of a pool.
pub(super) fn pool_builder<M: ManageConnection>() -> Builder<M> {
    pool::pool_builder(CHECKOUT_TIMEOUT)
}

#[derive(Debug)]
struct SetPragmas;

impl CustomizeConnection<SqliteConnection, PoolError> for SetPragmas {
    fn on_acquire(&self, conn: &mut SqliteConnection) -> Result<(), PoolError> {
        set_pragmas(conn).map_err(PoolError::QueryError)
    }
}

pub(super) fn set_pragmas(conn: &mut SqliteConnection) -> QueryResult<()> {
    PRAGMAS
        .iter()
        .try_for_each(|pragma| conn.batch_execute(pragma))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use diesel::RunQueryDsl;

    use super::*;

    #[cfg(unix)]
    #[test]
    fn a_path_that_is_not_utf8_is_refused_before_a_file_is_made() {
        use std::os::unix::ffi::OsStrExt;
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(OsStr::from_bytes(b"hn\xff.db"));
        let error = open(&path).unwrap_err().to_string();
        assert!(
            error.contains(r#"hn\xFF.db": its path is not UTF-8"#),
            "{error}"
        );
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
    }

    #[test]
    fn a_transaction_that_sqlite_itself_rolled_back_gives_its_cause() {
        let mut conn = SqliteConnection::establish(":memory:").unwrap();
        conn.batch_execute("PRAGMA max_page_count = 3; CREATE TABLE t (x)")
            .unwrap();
        let fill = "INSERT INTO t SELECT randomblob(1000000)";
        let error = conn
            .write_transaction(|conn| diesel::sql_query(fill).execute(conn).map(drop))
            .unwrap_err();
        assert_eq!(error.to_string(), "database or disk is full");
        assert_eq!(conn.classify(&error), ErrorClass::Lost);
    }

    #[test]
    fn a_transaction_that_panics_is_undone_and_its_connection_can_begin_another() {
        let mut conn = SqliteConnection::establish(":memory:").unwrap();
        conn.batch_execute("CREATE TABLE t (x)").unwrap();
        let panicked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            conn.write_transaction(|conn| -> QueryResult<()> {
                conn.batch_execute("INSERT INTO t VALUES (1)")?;
                panic!("no");
            })
        }));
        assert!(panicked.is_err());
        let left = conn.write_transaction(|conn| {
            diesel::select(diesel::dsl::sql::<diesel::sql_types::BigInt>(
                "(SELECT count(*) FROM t)",
            ))
            .get_result::<i64>(conn)
        });
        assert_eq!(left.unwrap(), 0);
    }
}
