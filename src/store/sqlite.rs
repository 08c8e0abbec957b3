//! SQLite as a store: opening a file, waiting for its locks, and what its messages mean.

mod classify;
mod file_identity;

use std::{
    ffi::OsStr,
    fmt::Display,
    path::Path,
    thread,
    time::{Duration, Instant},
};

use diesel::{
    Connection, QueryResult, SqliteConnection,
    connection::SimpleConnection,
    r2d2::{ConnectionManager, CustomizeConnection, Error as PoolError, NopErrorHandler},
    result::Error,
};

use self::classify::{classify, ends_with_lock_message};
pub use self::file_identity::FileIdentity;
use super::{BUSY_WAIT_MAX, ErrorClass, Pool, StoreConnection, StoreError};

/// A pool of SQLite connections.
pub type SqlitePool = Pool<SqliteConnection>;

/// One connection writes; the others read beside it.
const CONNECTIONS_MAX: u32 = 4;

/// Longer than the busy timeout of a connection. Otherwise the pool gives up while a connection still waits for a lock.
const CHECKOUT_TIMEOUT: Duration = Duration::from_secs(30);

/// How long to wait before a locked statement is tried again.
const LOCK_WAIT: Duration = Duration::from_millis(20);

/// In this order: the statements after the busy timeout then wait for locks too.
const PRAGMAS: [&str; 3] = [
    "PRAGMA busy_timeout = 5000",
    "PRAGMA foreign_keys = ON",
    "PRAGMA synchronous = NORMAL",
];

impl StoreConnection for SqliteConnection {
    /// `None` for a database that is in no file.
    type Identity = Option<FileIdentity>;

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
    fn write_transaction(
        &mut self,
        work: impl FnOnce(&mut Self) -> QueryResult<()>,
    ) -> QueryResult<()> {
        // On some errors SQLite rolls back by itself. Diesel's own rollback then fails, and it would return that error.
        let mut cause = None;
        let transaction = self.immediate_transaction(|conn| {
            work(conn).map_err(|error| {
                cause = Some(error);
                Error::RollbackTransaction
            })
        });
        transaction.map_err(|error| cause.unwrap_or(error))
    }

    fn classify(error: &Error) -> ErrorClass {
        classify(error)
    }
}

/// Opens a file as a pool, and creates the file if there is none: WAL, `synchronous=NORMAL`, foreign keys on, and a busy timeout
/// of 5 s.
///
/// # Errors
/// The path is not UTF-8, the file cannot be opened, or it is not a database.
pub fn open(path: &Path) -> Result<SqlitePool, StoreError> {
    let name = file_name(path)?;
    let unusable = |source| StoreError::Use {
        path: path.to_owned(),
        source,
    };
    let mut first = SqliteConnection::establish(&name).map_err(|source| StoreError::Open {
        path: path.to_owned(),
        source,
    })?;
    set_pragmas(&mut first).map_err(unusable)?;
    // When several programs open a fresh file at once, the switch to WAL can find it locked without waiting. Reading the schema
    // shows right away whether SQLite can make its files beside the database.
    while_locked(|| first.batch_execute("PRAGMA journal_mode = WAL")).map_err(unusable)?;
    while_locked(|| first.batch_execute("SELECT count(*) FROM sqlite_schema")).map_err(unusable)?;
    Pool::builder()
        .max_size(CONNECTIONS_MAX)
        .min_idle(Some(0))
        // No periodic work: a pool that has some keeps its threads for up to half a minute after it is dropped.
        .idle_timeout(None)
        .max_lifetime(None)
        .test_on_check_out(false)
        .connection_timeout(CHECKOUT_TIMEOUT)
        .connection_customizer(Box::new(SetPragmas))
        // The caller gets the error. r2d2 would log each of its tries as well.
        .error_handler(Box::new(NopErrorHandler))
        .build(ConnectionManager::new(name))
        .map_err(|error| StoreError::NoConnection(error.to_string()))
}

/// The text that SQLite opens `path` by.
fn file_name(path: &Path) -> Result<String, StoreError> {
    let text = path.to_str().ok_or_else(|| StoreError::NotUtf8 {
        path: path.to_owned(),
    })?;
    // SQLite reads some names as URIs or as memory. A path that begins with a folder is always a file.
    Ok(if path.is_relative() {
        format!("./{text}")
    } else {
        text.to_owned()
    })
}

#[derive(Debug)]
struct SetPragmas;

impl CustomizeConnection<SqliteConnection, PoolError> for SetPragmas {
    fn on_acquire(&self, conn: &mut SqliteConnection) -> Result<(), PoolError> {
        set_pragmas(conn).map_err(PoolError::QueryError)
    }
}

fn set_pragmas(conn: &mut SqliteConnection) -> QueryResult<()> {
    PRAGMAS
        .iter()
        .try_for_each(|pragma| conn.batch_execute(pragma))
}

/// Tries `work` again while another connection holds a lock, for up to a minute. Blocks the thread meanwhile.
///
/// A connection's busy timeout does not cover every lock, and is shorter.
///
/// # Errors
/// The last error of `work`.
pub fn while_locked<T, E: Display>(mut work: impl FnMut() -> Result<T, E>) -> Result<T, E> {
    let began = Instant::now();
    loop {
        match work() {
            Err(error)
                if began.elapsed() < BUSY_WAIT_MAX
                    && ends_with_lock_message(&error.to_string()) =>
            {
                thread::sleep(LOCK_WAIT);
            }
            done => return done,
        }
    }
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
    fn a_name_that_sqlite_reads_as_a_uri_or_as_memory_is_a_file_all_the_same() {
        for name in [":memory:", "file:x?mode=ro", ""] {
            assert_eq!(file_name(Path::new(name)).unwrap(), format!("./{name}"));
        }
        let absolute = Path::new("/tmp/hn.db");
        assert_eq!(file_name(absolute).unwrap(), "/tmp/hn.db");
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
        assert_eq!(SqliteConnection::classify(&error), ErrorClass::Lost);
    }
}
