//! Opening SQLite files: the pool and its pragmas. No queries, no migrations.

use std::{
    fmt::Display,
    path::{Path, PathBuf},
    thread,
    time::{Duration, Instant},
};

use diesel::{
    Connection, ConnectionError, QueryableByName, RunQueryDsl, SqliteConnection,
    connection::SimpleConnection,
    r2d2::{ConnectionManager, CustomizeConnection, Error as PoolError, NopErrorHandler},
    sql_query,
    sql_types::Text,
};
use thiserror::Error;

/// A pool of SQLite connections.
pub type Pool = diesel::r2d2::Pool<ConnectionManager<SqliteConnection>>;

/// One writer, and some readers beside it.
const CONNECTIONS_MAX: u32 = 4;

/// Longer than a connection waits for a lock, else the pool gives up first.
const CHECKOUT_TIMEOUT: Duration = Duration::from_secs(30);

/// A database that another program keeps locked is waited for so long, beyond a connection's own busy timeout.
pub(crate) const LOCK_PATIENCE: Duration = Duration::from_secs(60);

/// The order matters: what follows the busy timeout waits for locks. Each is a statement of its own.
const PRAGMAS: [&str; 3] = [
    "PRAGMA busy_timeout = 5000",
    "PRAGMA foreign_keys = ON",
    "PRAGMA synchronous = NORMAL",
];

/// Why a database file cannot be used.
#[derive(Debug, Error)]
pub enum DbError {
    /// It cannot be opened or created.
    #[error(
        "cannot open the database {path}: {source}; name a file in a folder that you may write to"
    )]
    Open {
        /// The file.
        path: PathBuf,
        /// What SQLite says.
        source: ConnectionError,
    },
    /// It was opened, and is not a database that can be written.
    #[error("cannot use the database {path}: {source}; name another file, or move this one away")]
    Use {
        /// The file.
        path: PathBuf,
        /// What SQLite says.
        source: diesel::result::Error,
    },
    /// The pool gives no connection.
    #[error("no connection to the database: {0}")]
    Pool(String),
}

/// Opens a file as a pool, creating the file if need be: WAL, `synchronous=NORMAL`, foreign keys on, and a busy timeout of 5 s.
///
/// # Errors
/// The file cannot be opened, or is no database.
pub fn open(path: &Path) -> Result<Pool, DbError> {
    // SQLite reads some names as URIs or as memory; a path with a folder in it is always a file.
    let file = if path.is_relative() {
        Path::new(".").join(path)
    } else {
        path.to_owned()
    };
    let name = file.to_string_lossy().into_owned();
    let failed = |source| DbError::Use {
        path: path.to_owned(),
        source,
    };
    let mut first = SqliteConnection::establish(&name).map_err(|source| DbError::Open {
        path: path.to_owned(),
        source,
    })?;
    set_pragmas(&mut first).map_err(failed)?;
    // A fresh file's switch to WAL can find it locked without waiting, when several programs open it at once. The look at the
    // schema shows here and now whether the files beside it can be made.
    while_locked(|| first.batch_execute("PRAGMA journal_mode = WAL")).map_err(failed)?;
    while_locked(|| first.batch_execute("SELECT count(*) FROM sqlite_schema")).map_err(failed)?;
    Pool::builder()
        .max_size(CONNECTIONS_MAX)
        .min_idle(Some(0))
        // Nothing to do every so often: a pool that has, keeps its threads up to half a minute after it is dropped.
        .idle_timeout(None)
        .max_lifetime(None)
        .test_on_check_out(false)
        .connection_timeout(CHECKOUT_TIMEOUT)
        .connection_customizer(Box::new(Pragmas))
        // The caller is told the error; r2d2 would log each of its tries too.
        .error_handler(Box::new(NopErrorHandler))
        .build(ConnectionManager::new(name))
        .map_err(|error| DbError::Pool(error.to_string()))
}

#[derive(Debug)]
struct Pragmas;

impl CustomizeConnection<SqliteConnection, PoolError> for Pragmas {
    fn on_acquire(&self, conn: &mut SqliteConnection) -> Result<(), PoolError> {
        set_pragmas(conn).map_err(PoolError::QueryError)
    }
}

fn set_pragmas(conn: &mut SqliteConnection) -> diesel::QueryResult<()> {
    PRAGMAS
        .iter()
        .try_for_each(|pragma| conn.batch_execute(pragma))
}

/// Tries again while another connection holds a lock, for up to a minute; blocks meanwhile. A connection's busy timeout does not
/// cover every lock, and is shorter.
///
/// # Errors
/// What `work` gave last.
pub fn while_locked<T, E: Display>(mut work: impl FnMut() -> Result<T, E>) -> Result<T, E> {
    let began = Instant::now();
    loop {
        match work() {
            Err(error) if began.elapsed() < LOCK_PATIENCE && is_locked(&error.to_string()) => {
                thread::sleep(Duration::from_millis(20));
            }
            done => return done,
        }
    }
}

/// Whether an error's text is what SQLite says of a lock.
pub(crate) fn is_locked(text: &str) -> bool {
    const LOCKED: [&str; 3] = [
        "database is locked",
        "database table is locked",
        "locking protocol",
    ];
    // An error that wraps SQLite's ends with it.
    LOCKED
        .iter()
        .any(|locked| text == *locked || text.ends_with(&format!(": {locked}")))
}

/// Which file a pool's database is. A deleted or replaced file takes commits that nobody will find again.
#[derive(Clone, Debug)]
pub(crate) struct FileIdentity {
    path: PathBuf,
    #[cfg(unix)]
    device_and_inode: (u64, u64),
}

impl FileIdentity {
    /// `None` for a database that is in no file.
    pub(crate) fn of(pool: &Pool) -> Result<Option<Self>, DbError> {
        #[derive(QueryableByName)]
        struct Main {
            #[diesel(sql_type = Text)]
            file: String,
        }
        let mut conn = pool
            .get()
            .map_err(|error| DbError::Pool(error.to_string()))?;
        let main: Main = sql_query("SELECT file FROM pragma_database_list WHERE name = 'main'")
            .get_result(&mut conn)
            .map_err(|error| DbError::Pool(error.to_string()))?;
        let path = PathBuf::from(main.file);
        if path.as_os_str().is_empty() {
            return Ok(None);
        }
        #[cfg(unix)]
        let device_and_inode = identity(&path)
            .map_err(|error| DbError::Pool(format!("{}: {error}", path.display())))?;
        Ok(Some(Self {
            path,
            #[cfg(unix)]
            device_and_inode,
        }))
    }

    /// Whether the file that was opened still stands where it stood; the error says what happened to it.
    pub(crate) fn check(&self) -> Result<(), String> {
        let path = self.path.display();
        #[cfg(unix)]
        return match identity(&self.path) {
            Ok(now) if now == self.device_and_inode => Ok(()),
            Ok(_) => Err(format!("the database file {path} was replaced by another")),
            Err(error) => Err(format!("the database file {path} is gone: {error}")),
        };
        #[cfg(not(unix))]
        self.path
            .exists()
            .then_some(())
            .ok_or_else(|| format!("the database file {path} is gone"))
    }
}

#[cfg(unix)]
fn identity(path: &Path) -> std::io::Result<(u64, u64)> {
    use std::os::unix::fs::MetadataExt;
    std::fs::metadata(path).map(|data| (data.dev(), data.ino()))
}
