//! The migrations, embedded, and their running.

use std::error::Error;

use diesel::{SqliteConnection, migration::MigrationSource, sqlite::Sqlite};
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

/// Brings the tables up to date. Looks and migrates in one immediate transaction, so that two programs may start on one file.
///
/// # Errors
/// The database is from a newer version, or refuses.
pub fn run(conn: &mut SqliteConnection) -> Result<(), MigrateError> {
    conn.immediate_transaction(|conn| {
        let known =
            MigrationSource::<Sqlite>::migrations(&MIGRATIONS).map_err(MigrateError::Failed)?;
        let applied = conn.applied_migrations().map_err(MigrateError::Failed)?;
        let unknown = applied.iter().find(|version| {
            !known
                .iter()
                .any(|known| known.name().version() == **version)
        });
        if let Some(version) = unknown {
            return Err(MigrateError::Newer(version.to_string()));
        }
        conn.run_pending_migrations(MIGRATIONS)
            .map_err(MigrateError::Failed)?;
        Ok(())
    })
}
