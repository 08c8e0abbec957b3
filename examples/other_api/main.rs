//! Ingests another API than Hacker News into a table of its own: packages by name, with an API key, where 404 means that there is no
//! such package. `cargo run --example other_api` uses a server that it starts itself.
#![allow(missing_docs)]

use std::{error::Error, path::Path};

use diesel::prelude::*;
use diesel_migrations::{EmbeddedMigrations, MigrationHarness, embed_migrations};
use hn_ingest::{
    Builder, DecodeError, Outcome, Report, Settled, Sink, Source,
    store::sqlite,
    test_util::{Reply, ScriptedServer},
};
use serde::Deserialize;

type BoxError = Box<dyn Error + Send + Sync>;

const MIGRATIONS: EmbeddedMigrations = embed_migrations!("examples/other_api/migrations");

diesel::table! {
    packages (name) { name -> Text, version -> Nullable<Text>, problem -> Nullable<Text> }
}

#[derive(Deserialize)]
struct Package {
    version: String,
}

/// The API.
struct PackagesSource {
    base: String,
    key: String,
}

impl Source for PackagesSource {
    type Id = String;
    type Record = Package;

    fn url(&self, name: &String) -> String {
        format!("{}/packages/{name}", self.base)
    }
    fn headers(&self) -> Vec<(String, String)> {
        vec![("x-api-key".into(), self.key.clone())]
    }
    fn is_absent(&self, status: u16) -> bool {
        status == 404
    }
    fn decode(&self, _: &String, body: &[u8]) -> Result<Option<Package>, DecodeError> {
        let package = serde_json::from_slice(body).map_err(DecodeError::new)?;
        Ok(Some(package))
    }
}

/// The table `packages`.
struct PackagesSink;

impl Sink for PackagesSink {
    type Id = String;
    type Record = Package;
    type Connection = SqliteConnection;

    fn write(
        &self,
        conn: &mut SqliteConnection,
        batch: &[Settled<String, Package>],
    ) -> QueryResult<()> {
        use self::packages::dsl::*;
        // One row at a time: if a name comes twice, the later outcome replaces the earlier one.
        for Settled { id, outcome, .. } in batch {
            let (found, why) = match outcome {
                Outcome::Stored(package) => (Some(&package.version), None),
                Outcome::Absent => (None, Some("no such package".to_owned())),
                Outcome::Failed(failure) => (None, Some(failure.to_string())),
            };
            diesel::replace_into(packages)
                .values((name.eq(id), version.eq(found), problem.eq(why)))
                .execute(conn)?;
        }
        Ok(())
    }
}

pub(crate) async fn ingest(
    base: String,
    names: &[&str],
    file: &Path,
) -> Result<Report<String>, BoxError> {
    let pool = sqlite::open(file)?;
    pool.get()?.run_pending_migrations(MIGRATIONS)?;
    let key = "secret".to_owned();
    let source = PackagesSource { base, key };
    let builder = Builder::new(source, PackagesSink).pool(pool);
    let names: Vec<_> = names.iter().map(ToString::to_string).collect();
    Ok(builder.start().await?.run(names).await?)
}

#[actix_rt::main]
async fn main() -> Result<(), BoxError> {
    let server = ScriptedServer::start();
    server.on("/packages/actix", [Reply::json(r#"{"version":"0.13.5"}"#)]);
    let report = ingest(server.url(), &["actix"], "packages.db".as_ref()).await?;
    println!("{} stored", report.totals.stored);
    Ok(())
}
