//! Opening the database of a command, and working with it where blocking is allowed.

pub(super) mod location;
mod file;
#[cfg(feature = "postgres")]
mod server;
#[cfg(feature = "postgres")]
mod rights;
mod look;
mod owner;
mod mark;
pub(super) mod fresh_file;
pub(super) mod pair;
pub(super) mod advice;

use std::{ffi::OsStr, sync::OnceLock, time::Duration};

use diesel::{
    QueryResult,
    r2d2::{self, ManageConnection},
};

use self::{advice::with_next_step, fresh_file::DeletedIfUnused, location::Location};
use super::{exit::CommandError, signals};
use crate::store::{
    Pool, PooledConnection, StoreConnection,
    any::{AnyConnection, AnyPool},
    locks::{while_disconnected, while_locked},
    read_only::ReadConnection,
    silence,
};

/// A connection from the pool. It goes back to the pool when it is dropped.
pub(super) type Connection = PooledConnection<AnyConnection>;

/// A database that was opened for a run: to fetch into, or to compare with.
pub(super) struct OpenedDatabase<C: StoreConnection = AnyConnection> {
    pub(super) pool: Pool<C>,
    pub(super) identity: C::Identity,
    /// If this process has made the file. To be dropped after the pool.
    pub(super) fresh_file: Option<DeletedIfUnused>,
}

impl<C: StoreConnection> OpenedDatabase<C> {
    /// `conn` is of the pool.
    fn new(pool: Pool<C>, mut conn: PooledConnection<C>) -> Result<Self, CommandError> {
        let identity = conn.identify().map_err(CommandError::new)?;
        drop(conn);
        Ok(Self {
            pool,
            identity,
            fresh_file: None,
        })
    }
}

/// What messages call the server of the database that the process's runs work with. Never set if that is a file.
static SERVER: OnceLock<String> = OnceLock::new();

fn note_server(location: &Location) {
    if let Some(name) = Location::servers(&[location]) {
        SERVER.get_or_init(|| name);
    }
}

/// The server of the runs' database, if it is on one.
pub(super) fn server() -> Option<&'static str> {
    SERVER.get().map(String::as_str)
}

/// Opens a database to fetch into. Creates the file or the tables if they do not exist.
pub(super) async fn open_or_create(
    location: Location,
    demo: bool,
) -> Result<OpenedDatabase, CommandError> {
    note_server(&location);
    let open = move || open_or_create_now(&location, demo);
    unless_silent(server(), may_wait, open).await
}

/// As [`open_or_create`]. To be called where blocking is allowed.
fn open_or_create_now(location: &Location, demo: bool) -> Result<OpenedDatabase, CommandError> {
    match location {
        Location::File(path) => file::open_or_create(path, demo),
        #[cfg(feature = "postgres")]
        Location::Server(url) => server::open_or_create(url, demo),
    }
}

/// Opens an existing database for a run that writes nothing. It need not be writable.
pub(super) async fn open_read_only(
    location: Location,
    demo: bool,
) -> Result<OpenedDatabase<ReadConnection>, CommandError> {
    note_server(&location);
    let open = move || {
        while_disconnected(may_wait, || {
            require_existing(&location, demo)?;
            let pool = while_locked(|| ReadConnection::open(place(&location)))
                .map_err(CommandError::new)?;
            let mut conn = connection(&pool)?;
            while_locked(|| owner::require_current_tables(&mut conn.0))
                .and_then(|()| while_locked(|| owner::require_kind(&mut conn.0, demo)))
                .map_err(|CommandError(why)| CommandError(format!("{location}: {why}")))?;
            OpenedDatabase::new(pool, conn)
        })
    };
    unless_silent(server(), may_wait, open).await
}

/// Opens an existing database that another process works on, to write to it beside that. To be called where blocking is allowed.
pub(super) fn join(location: &Location) -> Result<AnyPool, CommandError> {
    require_existing(location, false)?;
    AnyConnection::open(place(location)).map_err(CommandError::new)
}

/// The place as a pool takes it. It may hold a password.
fn place(location: &Location) -> &OsStr {
    match location {
        Location::File(path) => path.as_os_str(),
        #[cfg(feature = "postgres")]
        Location::Server(url) => OsStr::new(url.secret_url()),
    }
}

/// Opens an existing database to read it. To be called where blocking is allowed.
fn open_to_read(location: &Location, demo: bool) -> Result<AnyConnection, CommandError> {
    match location {
        Location::File(path) => file::open_to_read(path, demo),
        #[cfg(feature = "postgres")]
        Location::Server(url) => server::open_to_read(url),
    }
}

/// Refuses a database that does not exist, is empty, or belongs to another program. `demo`: whether it is to be one of `--demo`. To be
/// called where blocking is allowed.
pub(super) fn require_existing(location: &Location, demo: bool) -> Result<(), CommandError> {
    match location {
        Location::File(path) => file::require_existing(path, demo),
        #[cfg(feature = "postgres")]
        Location::Server(url) => server::open_to_read(url).map(drop),
    }
}

/// Works with an existing database, in order to change what is in it. Never creates anything. To be called where blocking is allowed.
pub(super) fn change_existing<T>(
    location: &Location,
    demo: bool,
    mut work: impl FnMut(&mut AnyConnection) -> Result<T, CommandError>,
) -> Result<T, CommandError> {
    while_disconnected(may_wait, || {
        let mut conn = match location {
            Location::File(path) => file::open_existing(path, demo)?,
            #[cfg(feature = "postgres")]
            Location::Server(url) => server::open_existing(url)?,
        };
        work(&mut conn)
    })
}

/// Reads an existing database, which need not be writable. To be called where blocking is allowed.
pub(super) fn read_existing<T>(
    location: &Location,
    demo: bool,
    mut work: impl FnMut(&mut AnyConnection) -> Result<T, CommandError>,
) -> Result<T, CommandError> {
    while_disconnected(may_wait, || work(&mut open_to_read(location, demo)?))
}

/// A connection of the pool. To be called where blocking is allowed: a new connection waits for locks.
pub(super) fn connection<M: ManageConnection>(
    pool: &r2d2::Pool<M>,
) -> Result<r2d2::PooledConnection<M>, CommandError> {
    while_locked(|| pool.get())
        .map_err(|error| CommandError(format!("the database gives no connection: {error}")))
}

/// Works with a connection of the pool on another thread. If the connection is lost, the work is done again with another one.
pub(super) async fn with_connection<M: ManageConnection, T: Send + 'static>(
    pool: &r2d2::Pool<M>,
    work: impl FnMut(&mut M::Connection) -> Result<T, CommandError> + Send + 'static,
) -> Result<T, CommandError> {
    with_connection_while(may_wait, pool, work).await
}

/// How the error of a write begins.
pub(super) const NOT_WRITTEN: &str = "the database cannot be written";

/// Runs a query with a connection of the pool on another thread. While the database is locked, it is tried again. If the connection is
/// lost, it is done again with another one.
pub(super) async fn query<M: ManageConnection, T: Send + 'static>(
    pool: &r2d2::Pool<M>,
    mut work: impl FnMut(&mut M::Connection) -> QueryResult<T> + Send + 'static,
) -> Result<T, CommandError> {
    with_connection(pool, move |conn| {
        while_locked(|| work(conn)).map_err(CommandError::new)
    })
    .await
}

/// As [`query`], with an error that begins with `failed`.
pub(super) async fn query_or<M: ManageConnection, T: Send + 'static>(
    failed: &'static str,
    pool: &r2d2::Pool<M>,
    mut work: impl FnMut(&mut M::Connection) -> QueryResult<T> + Send + 'static,
) -> Result<T, CommandError> {
    with_connection(pool, move |conn| {
        while_locked(|| work(conn)).map_err(|error| CommandError(format!("{failed}: {error}")))
    })
    .await
}

/// As [`with_connection`], where `waits_on` says whether to wait on for a database after a time.
pub(super) async fn with_connection_while<M: ManageConnection, T: Send + 'static>(
    waits_on: impl Fn(Duration) -> bool + Clone + Send + 'static,
    pool: &r2d2::Pool<M>,
    mut work: impl FnMut(&mut M::Connection) -> Result<T, CommandError> + Send + 'static,
) -> Result<T, CommandError> {
    let pool = pool.clone();
    let waits_on_connection = waits_on.clone();
    let work = move || while_disconnected(waits_on_connection, || work(&mut *connection(&pool)?));
    unless_silent(server(), waits_on, work).await
}

/// Does work on another thread. Gives up if the server of this name does not answer for too long. Work with a file always ends.
pub(super) async fn unless_silent<T: Send + 'static>(
    server: Option<&str>,
    waits_on: impl Fn(Duration) -> bool,
    work: impl FnOnce() -> Result<T, CommandError> + Send + 'static,
) -> Result<T, CommandError> {
    let Some(server) = server else {
        return blocking(work).await;
    };
    silence::unless_silent(server, waits_on, work)
        .await
        .unwrap_or_else(|no_answer| Err(CommandError::new(no_answer)))
        .map_err(with_next_step)
}

/// Works with a connection of the pool. If the connection is lost, or the server gives none at the moment, the work is done again with
/// another one. To be called where blocking is allowed.
pub(super) fn while_connecting<T>(
    pool: &AnyPool,
    mut work: impl FnMut(&mut AnyConnection) -> Result<T, CommandError>,
) -> Result<T, CommandError> {
    while_disconnected(may_wait, || work(&mut *connection(pool)?))
}

/// A database is waited for no longer than this.
const WAIT_MAX: Duration = Duration::from_secs(5 * 60);

/// After a signal, a database is waited for no longer than this.
const INTERRUPTED_WAIT: Duration = Duration::from_secs(3);

/// Whether to wait on for a database, after this time.
pub(super) fn may_wait(waited: Duration) -> bool {
    waited < WAIT_MAX && (signals::noted().is_none() || waited < INTERRUPTED_WAIT)
}

/// Does work on a blocking thread. Work that waits for a lock belongs there, so that the arbiter goes on.
pub(super) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, CommandError> + Send + 'static,
) -> Result<T, CommandError> {
    let done = actix_rt::task::spawn_blocking(work).await;
    done.unwrap_or_else(|panic| Err(CommandError::new(panic)))
        .map_err(with_next_step)
}
