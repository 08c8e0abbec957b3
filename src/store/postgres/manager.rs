//! Makes the connections of a pool, and sets up their sessions.

use std::{ffi::OsStr, fmt, thread};

use diesel::{
    Connection, ConnectionError, PgConnection, QueryResult, RunQueryDsl,
    connection::SimpleConnection,
    dsl::{select, sql},
    r2d2::{Error as ManagerError, ManageConnection, R2D2Connection},
    sql_query,
    sql_types::{Nullable, Text},
};

use super::{location::PgLocation, server::require_usable};
use crate::store::{StoreError, message::in_one_line, silence::is_abandoned};

/// Ends a session that a cut-off or stopped process has left inside a transaction, because others may wait for its locks. The server
/// also asks the process's machine for a sign of life, by default only after two hours. A lock of another session is waited for in
/// short waits, between which the program looks whether to go on.
const END_ABANDONED_SESSIONS: &str =
    "SET idle_in_transaction_session_timeout = '15s'; SET lock_timeout = '3s';
    SET tcp_keepalives_idle = 15; SET tcp_keepalives_interval = 5; SET tcp_keepalives_count = 3";

/// The meaning of an error is only in its text. Only a superuser may set this, and others need it seldom.
const ENGLISH_MESSAGES: &str = "SELECT set_config('lc_messages', 'C', false)
    WHERE current_setting('lc_messages') !~ '^(C|POSIX|en)'";

/// Makes the connections of a [`PgPool`](super::PgPool).
pub struct PgManager {
    location: PgLocation,
}

impl PgManager {
    /// A manager for the database of a URL. Connects once, to see whether the database can be used.
    ///
    /// # Errors
    /// The URL is none, the server gives no connection, or the database cannot be used.
    pub(in crate::store) fn open(location: &OsStr) -> Result<Self, StoreError> {
        let location = PgLocation::parse(&location.to_string_lossy())?;
        connect(&location)?;
        Ok(Self { location })
    }
}

/// Connects, and sees whether the database can be used.
///
/// # Errors
/// The server gives no connection, or the database cannot be used.
pub(crate) fn connect(location: &PgLocation) -> Result<PgConnection, StoreError> {
    let unusable = |why: String| StoreError::Server {
        place: location.to_string(),
        why,
    };
    let mut conn = establish(location).map_err(|error| unusable(error.to_string()))?;
    require_usable(&mut conn).map_err(unusable)?;
    Ok(conn)
}

/// Connects, and sets the session up.
///
/// # Errors
/// The server gives no connection.
pub(crate) fn establish(location: &PgLocation) -> Result<PgConnection, ConnectionError> {
    let mut conn = PgConnection::establish(location.secret_url()).map_err(readable)?;
    // A relative of PostgreSQL need not know these. If the connection is lost here, its first transaction finds out.
    for settings in [END_ABANDONED_SESSIONS, ENGLISH_MESSAGES] {
        let _ = conn.batch_execute(settings);
    }
    // The connection itself does not tell.
    let place = sql_query("SELECT set_config('hn_ingest.place', $1, false)")
        .bind::<Text, _>(location.to_string());
    let _ = place.execute(&mut conn);
    Ok(conn)
}

/// The URL that a session was made for, without the password.
pub(super) fn place(conn: &mut PgConnection) -> QueryResult<Option<String>> {
    select(sql::<Nullable<Text>>(
        "current_setting('hn_ingest.place', true)",
    ))
    .get_result(conn)
}

impl ManageConnection for PgManager {
    type Connection = PgConnection;
    type Error = ManagerError;

    fn connect(&self) -> Result<PgConnection, ManagerError> {
        establish(&self.location).map_err(ManagerError::ConnectionError)
    }

    fn is_valid(&self, conn: &mut PgConnection) -> Result<(), ManagerError> {
        conn.ping().map_err(ManagerError::QueryError)
    }

    fn has_broken(&self, conn: &mut PgConnection) -> bool {
        thread::panicking() || is_abandoned() || conn.is_broken()
    }
}

impl fmt::Debug for PgManager {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("PgManager").field(&self.location).finish()
    }
}

fn readable(error: ConnectionError) -> ConnectionError {
    match error {
        ConnectionError::BadConnection(text) => ConnectionError::BadConnection(in_one_line(&text)),
        other => other,
    }
}
