//! The migrations, which are embedded in the program, and how they are run.

use std::error::Error;

use diesel::{
    QueryResult, RunQueryDsl,
    dsl::{select, sql},
    migration::MigrationSource,
    sql_types::Bool,
    sqlite::Sqlite,
};
use diesel_migrations::{EmbeddedMigrations, MigrationHarness, embed_migrations};
use thiserror::Error as ThisError;

use super::connection::{HnConnection, on_backend};

const MIGRATIONS: EmbeddedMigrations = embed_migrations!("migrations/sqlite");

/// Migrations of development versions, whose tables this program cannot use.
const DISCARDED: [&str; 4] = [
    "20261123000000",
    "20261123000001",
    "20261129000000",
    "20261201000000",
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
/// immediate transaction, so that two programs may start on one file.
///
/// # Errors
/// The database is from another version, or refuses.
pub fn run(conn: &mut impl HnConnection) -> Result<(), MigrateError> {
    if is_current(conn)? {
        return Ok(());
    }
    conn.write_transaction(|conn| {
        if !is_current(conn)? {
            on_backend!(conn, |conn| conn
                .run_pending_migrations(MIGRATIONS)
                .map(drop))
            .map_err(MigrateError::Failed)?;
        }
        Ok(())
    })
}

/// Whether any of this program's migrations was ever run here, even one of a development version. Another program that uses Diesel
/// has a table of migrations too. Writes nothing.
///
/// # Errors
/// The database refuses.
pub fn is_known(conn: &mut impl HnConnection) -> Result<bool, MigrateError> {
    if !has_migrations_table(conn)? {
        return Ok(false);
    }
    let known = MigrationSource::<Sqlite>::migrations(&MIGRATIONS).map_err(MigrateError::Failed)?;
    let applied =
        on_backend!(conn, |conn| conn.applied_migrations()).map_err(MigrateError::Failed)?;
    Ok(applied.iter().any(|version| {
        DISCARDED.contains(&&*version.to_string())
            || known.iter().any(|known| known.name().version() == *version)
    }))
}

/// Whether the database has a table of migrations. Diesel's look at the applied migrations would make one.
fn has_migrations_table(conn: &mut impl HnConnection) -> QueryResult<bool> {
    let query = select(sql::<Bool>(conn.dialect().has_migrations_table));
    on_backend!(conn, |conn| query.get_result(conn))
}

/// Whether no migration is pending. Writes nothing.
///
/// # Errors
/// The database is from another version, or refuses.
pub fn is_current(conn: &mut impl HnConnection) -> Result<bool, MigrateError> {
    let known = MigrationSource::<Sqlite>::migrations(&MIGRATIONS).map_err(MigrateError::Failed)?;
    if !has_migrations_table(conn)? {
        return Ok(false);
    }
    let applied =
        on_backend!(conn, |conn| conn.applied_migrations()).map_err(MigrateError::Failed)?;
    let unknown = applied.iter().find(|version| {
        !known
            .iter()
            .any(|known| known.name().version() == **version)
    });
    match unknown.map(ToString::to_string) {
        None => Ok(applied.len() == known.len()),
        Some(version) if DISCARDED.contains(&&*version) => Err(MigrateError::Discarded(version)),
        Some(version) => Err(MigrateError::Newer(version)),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use diesel::{Connection, SqliteConnection, connection::SimpleConnection};

    use super::*;

    fn database_with(version: &str) -> SqliteConnection {
        let mut conn = SqliteConnection::establish(":memory:").unwrap();
        run(&mut conn).unwrap();
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
    fn the_migration_can_be_undone() {
        let mut conn = SqliteConnection::establish(":memory:").unwrap();
        run(&mut conn).unwrap();
        conn.revert_all_migrations(MIGRATIONS).unwrap();
        let left = "EXISTS (SELECT 1 FROM sqlite_schema WHERE name NOT LIKE '\\_\\_diesel%' ESCAPE '\\' AND name NOT LIKE 'sqlite%')";
        assert!(
            !select(sql::<Bool>(left))
                .get_result::<bool>(&mut conn)
                .unwrap()
        );
    }
}
