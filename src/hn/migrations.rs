//! The migrations, which are embedded in the program, and how they are run.

use std::error::Error;

use diesel::{
    QueryResult, RunQueryDsl,
    dsl::{select, sql},
    migration::MigrationSource,
    sql_types::{Bool, Text},
    sqlite::Sqlite,
};
use diesel_migrations::{EmbeddedMigrations, MigrationHarness, embed_migrations};
use thiserror::Error as ThisError;

use super::connection::{Backend, HnConnection, on_backend};

const SQLITE: EmbeddedMigrations = embed_migrations!("migrations/sqlite");
#[cfg(feature = "postgres")]
const POSTGRES: EmbeddedMigrations = embed_migrations!("migrations/postgres");

/// Migrations of development versions. They say that a database without a mark is this program's.
const DISCARDED: [&str; 5] = [
    "20261123000000",
    "20261123000001",
    "20261129000000",
    "20261201000000",
    "20261202000000",
];

/// Why the tables could not be brought up to date.
#[derive(Debug, ThisError)]
#[non_exhaustive]
pub enum MigrateError {
    /// The database has seen a migration that this program does not know.
    #[error(
        "the database is from a newer version of this program (its migration {0} is unknown here); update hn-ingest, or use another database"
    )]
    Newer(String),
    /// The database was made by a version that was never released.
    #[error(
        "the database is from a development version of this program (its migration {0} was discarded before the first release); move the file away and fetch its items again"
    )]
    Discarded(String),
    /// The tables are there, but not the record of the migration that makes them.
    #[error(
        "the database has a table of items, but no record of the migration that made it; restore a copy of the database, or move it away and fetch its items again"
    )]
    Unrecorded,
    /// The database refused.
    #[error("the tables cannot be brought up to date: {0}")]
    Failed(Box<dyn Error + Send + Sync>),
}

impl From<diesel::result::Error> for MigrateError {
    fn from(error: diesel::result::Error) -> Self {
        Self::Failed(error.into())
    }
}

/// Brings the tables up to date.
///
/// It first looks without a lock, so that a reader waits for no writer. If something is to do, it looks again and migrates in one
/// transaction that writes, so that two programs may start on one database.
///
/// # Errors
/// The database is from another version, or refuses.
pub fn run(conn: &mut impl HnConnection) -> Result<(), MigrateError> {
    if is_current(conn)? {
        return Ok(());
    }
    let migrated = conn.write_transaction(|conn| {
        if is_current(conn)? {
            return Ok(());
        }
        let done = match conn.backend() {
            Backend::Sqlite(conn) => conn.run_pending_migrations(SQLITE).map(drop),
            #[cfg(feature = "postgres")]
            Backend::Postgres(conn) => conn.run_pending_migrations(POSTGRES).map(drop),
        };
        done.map_err(MigrateError::Failed)
    });
    // PostgreSQL lets two programs begin, and one of them fails when the other has made the tables.
    match migrated {
        Err(MigrateError::Failed(_)) if matches!(is_current(conn), Ok(true)) => Ok(()),
        done => done,
    }
}

/// Whether any of this program's migrations was ever run here, even one of a development version. Another program that uses
/// Diesel has a table of migrations too. Writes nothing.
///
/// # Errors
/// The database refuses.
pub fn is_known(conn: &mut impl HnConnection) -> Result<bool, MigrateError> {
    let known = known_versions()?;
    let applied = applied_versions(conn)?;
    Ok(applied
        .iter()
        .any(|version| DISCARDED.contains(&&**version) || known.contains(version)))
}

/// The versions of this program's migrations, which have the same names for every database.
fn known_versions() -> Result<Vec<String>, MigrateError> {
    let known = MigrationSource::<Sqlite>::migrations(&SQLITE).map_err(MigrateError::Failed)?;
    let versions = known.iter().map(|known| known.name().version().to_string());
    Ok(versions.collect())
}

/// The versions of the migrations that were run. Diesel's own look at them would first make their table.
fn applied_versions(conn: &mut impl HnConnection) -> QueryResult<Vec<String>> {
    if !has_migrations_table(conn)? {
        return Ok(Vec::new());
    }
    let versions = sql::<Text>("SELECT version FROM __diesel_schema_migrations");
    on_backend!(conn, |conn| versions.load(conn))
}

/// Whether there is a table of items.
///
/// # Errors
/// Whatever Diesel says.
pub fn has_items_table(conn: &mut impl HnConnection) -> QueryResult<bool> {
    let query = select(sql::<Bool>(conn.dialect().has_items_table));
    on_backend!(conn, |conn| query.get_result(conn))
}

/// Whether the database has a table of migrations.
fn has_migrations_table(conn: &mut impl HnConnection) -> QueryResult<bool> {
    let query = select(sql::<Bool>(conn.dialect().has_migrations_table));
    on_backend!(conn, |conn| query.get_result(conn))
}

/// Whether no migration is pending. Writes nothing.
///
/// # Errors
/// The database is from another version, or refuses.
pub fn is_current(conn: &mut impl HnConnection) -> Result<bool, MigrateError> {
    let known = known_versions()?;
    // First, because another program may make the tables at this moment, together with the record.
    let has_items = has_items_table(conn)?;
    let applied = applied_versions(conn)?;
    let is_complete = applied.len() == known.len();
    let has_none = applied.is_empty();
    let unknown = |version: &String| !known.contains(version);
    match applied.into_iter().filter(unknown).max() {
        None if has_none && has_items => Err(MigrateError::Unrecorded),
        None => Ok(is_complete),
        Some(version) if Some(&version) < known.iter().max() => {
            Err(MigrateError::Discarded(version))
        }
        Some(version) => Err(MigrateError::Newer(version)),
    }
}

/// A database in memory with the tables and no rows.
#[cfg(test)]
#[allow(clippy::unwrap_used)]
pub(super) fn empty_database() -> diesel::SqliteConnection {
    let mut conn = diesel::Connection::establish(":memory:").unwrap();
    run(&mut conn).unwrap();
    conn
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use diesel::{SqliteConnection, connection::SimpleConnection};

    use super::*;

    fn database_with(version: &str) -> SqliteConnection {
        let mut conn = empty_database();
        conn.batch_execute(&format!(
            "INSERT INTO __diesel_schema_migrations (version) VALUES ('{version}')"
        ))
        .unwrap();
        conn
    }

    #[test]
    fn a_database_of_another_version_is_refused_with_the_next_step() {
        for (version, next_step) in [
            ("20261123000001", "move the file away"),
            // No version of the program has such a migration now.
            ("20261125000000", "move the file away"),
            ("99991231235959", "update hn-ingest"),
        ] {
            let error = run(&mut database_with(version)).unwrap_err().to_string();
            assert!(
                error.contains(version) && error.contains(next_step),
                "{error}"
            );
        }
    }

    #[test]
    fn tables_without_the_record_of_their_migration_are_refused_with_the_next_step() {
        for loss in [
            "DELETE FROM __diesel_schema_migrations",
            "DROP TABLE __diesel_schema_migrations",
        ] {
            let mut conn = empty_database();
            conn.batch_execute(loss).unwrap();
            let error = run(&mut conn).unwrap_err().to_string();
            assert!(error.contains("restore a copy"), "{loss}: {error}");
        }
    }

    #[test]
    fn the_migration_can_be_undone() {
        let mut conn = empty_database();
        conn.revert_all_migrations(SQLITE).unwrap();
        let left = "EXISTS (SELECT 1 FROM sqlite_schema WHERE name NOT LIKE '\\_\\_diesel%' ESCAPE '\\' AND name NOT LIKE 'sqlite%')";
        assert!(
            !select(sql::<Bool>(left))
                .get_result::<bool>(&mut conn)
                .unwrap()
        );
    }
}
