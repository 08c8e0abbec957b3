//! Two databases: one to read, and one to copy it into.

use std::fs;

#[cfg(feature = "postgres")]
use diesel::{
    PgConnection, QueryResult, RunQueryDsl,
    dsl::{select, sql},
    sql_types::Text,
};

#[cfg(feature = "postgres")]
use super::server;
use super::{
    Connection, connection, location::Location, mark::Mark, open_or_create_now, open_to_read,
};
use crate::{
    cli::exit::CommandError,
    store::{
        StoreConnection,
        any::{AnyConnection, AnyIdentity},
    },
};

/// Connections to both.
pub(in crate::cli) struct Pair {
    /// Only for reading.
    pub(in crate::cli) from: AnyConnection,
    pub(in crate::cli) to: Connection,
    target: AnyIdentity,
}

impl Pair {
    /// Opens both. The target is made if it does not exist, and takes over the mark for real or demo items. To be called where blocking
    /// is allowed.
    pub(in crate::cli) fn open(from: &Location, to: &Location) -> Result<Self, CommandError> {
        if are_same_place(from, to) {
            return Err(same(from, to));
        }
        let mut source = open_to_read(from, false)?;
        let demo = Mark::read(&mut source).map_err(CommandError::new)? == Mark::Demo;
        let target = open_or_create_now(to, demo)?;
        let mut pair = Self {
            from: source,
            to: connection(&target.pool)?,
            target: target.identity,
        };
        if pair.is_one_database() {
            return Err(same(from, to));
        }
        #[cfg(feature = "postgres")]
        if let Location::Server(url) = to {
            server::require_copying(url, &mut pair.to)?;
        }
        Ok(pair)
    }

    /// Refuses to go on if the target is no longer in its place: what is written would be lost.
    pub(in crate::cli) fn check_target(&self) -> Result<(), CommandError> {
        AnyConnection::check(&self.target).map_err(CommandError)
    }

    /// Whether both are the same database of a server, under whichever name. Files are known by then.
    fn is_one_database(&mut self) -> bool {
        match (&mut self.from, &mut *self.to) {
            #[cfg(feature = "postgres")]
            (AnyConnection::Postgres(from), AnyConnection::Postgres(to)) => {
                // A relative of PostgreSQL need not know these functions.
                matches!((identity(from), identity(to)), (Ok(from), Ok(to)) if from == to)
            }
            _ => false,
        }
    }
}

fn same(from: &Location, to: &Location) -> CommandError {
    CommandError(format!(
        "--database {from} and --to {to} are the same database; name another one with --to"
    ))
}

/// Whether both are the same file, also by way of links, or have the same URL.
fn are_same_place(from: &Location, to: &Location) -> bool {
    match (from, to) {
        (Location::File(from), Location::File(to)) => {
            from == to
                || match (fs::metadata(from), fs::metadata(to)) {
                    (Ok(from), Ok(to)) => is_same_file(&from, &to),
                    _ => false,
                }
        }
        #[cfg(feature = "postgres")]
        (from, to) => from == to,
    }
}

#[cfg(unix)]
fn is_same_file(one: &fs::Metadata, other: &fs::Metadata) -> bool {
    use std::os::unix::fs::MetadataExt;
    (one.dev(), one.ino()) == (other.dev(), other.ino())
}

#[cfg(not(unix))]
fn is_same_file(_: &fs::Metadata, _: &fs::Metadata) -> bool {
    false
}

/// Tells a schema from all others: when its server was started, its database, and itself.
#[cfg(feature = "postgres")]
fn identity(conn: &mut PgConnection) -> QueryResult<String> {
    select(sql::<Text>(
        "concat_ws(' ', pg_postmaster_start_time(), (SELECT oid FROM pg_catalog.pg_database WHERE datname = current_database()),
            current_schema()::regnamespace::oid)",
    ))
    .get_result(conn)
}
