//! The migrations, embedded, and their running.

use std::error::Error;

use diesel::{
    RunQueryDsl, SqliteConnection,
    dsl::{select, sql},
    migration::MigrationSource,
    sql_types::Bool,
    sqlite::Sqlite,
};
use diesel_migrations::{EmbeddedMigrations, MigrationHarness, embed_migrations};
use thiserror::Error;

const MIGRATIONS: EmbeddedMigrations = embed_migrations!("migrations");

/// Why the tables could not be brought up to date.
#[derive(Debug, Error)]
pub enum MigrateError {
    /// The database has seen migrations that this program does not know.
    #[error(
        "the database is from a newer version of this program (its migration {0} is unknown here); update hn-ingest, or use another database"
    )]
    Newer(String),
    /// The database refused.
    #[error("the tables cannot be brought up to date: {0}")]
    Failed(Box<dyn Error + Send + Sync>),
}

impl From<diesel::result::Error> for MigrateError {
    fn from(error: diesel::result::Error) -> Self {
        Self::Failed(error.into())
    }
}

/// Brings the tables up to date. Looks first without a lock, so that who only reads waits for nobody; then looks and migrates in
/// one immediate transaction, so that two programs may start on one file.
///
/// # Errors
/// The database is from a newer version, or refuses.
pub fn run(conn: &mut SqliteConnection) -> Result<(), MigrateError> {
    if is_current(conn)? {
        return Ok(());
    }
    conn.immediate_transaction(|conn| {
        if !is_current(conn)? {
            conn.run_pending_migrations(MIGRATIONS)
                .map_err(MigrateError::Failed)?;
        }
        Ok(())
    })
}

/// Whether no migration is pending. Writes nothing.
fn is_current(conn: &mut SqliteConnection) -> Result<bool, MigrateError> {
    let known = MigrationSource::<Sqlite>::migrations(&MIGRATIONS).map_err(MigrateError::Failed)?;
    let any = "EXISTS (SELECT 1 FROM sqlite_schema WHERE name = '__diesel_schema_migrations')";
    // Where the table is not, Diesel's look makes it.
    if !select(sql::<Bool>(any)).get_result::<bool>(conn)? {
        return Ok(false);
    }
    let applied = conn.applied_migrations().map_err(MigrateError::Failed)?;
    let unknown = applied.iter().find(|version| {
        !known
            .iter()
            .any(|known| known.name().version() == **version)
    });
    match unknown {
        Some(version) => Err(MigrateError::Newer(version.to_string())),
        None => Ok(applied.len() == known.len()),
    }
}
