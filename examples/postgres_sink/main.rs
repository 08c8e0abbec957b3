//! Ingests quotes into a table of its own on a PostgreSQL server:
//! `cargo run --example postgres_sink --features postgres,test-util -- postgres://user@host/database` uses an API that it starts itself.
#![allow(missing_docs)]

use std::{env, error::Error};

use diesel::{prelude::*, query_dsl::methods::FilterDsl, upsert::excluded};
use diesel_migrations::{EmbeddedMigrations, MigrationHarness, embed_migrations};
use hn_ingest::{
    Builder, DecodeError, Outcome, Report, Settled, Sink, Source,
    store::postgres,
    test_util::{Reply, ScriptedServer},
};
use serde::Deserialize;

type BoxError = Box<dyn Error + Send + Sync>;

const MIGRATIONS: EmbeddedMigrations = embed_migrations!("examples/postgres_sink/migrations");

diesel::table! {
    quotes (symbol) {
        symbol -> Text,
        price_cents -> BigInt,
        received_at -> Timestamp,
    }
}

#[derive(Deserialize)]
pub(crate) struct Quote {
    price_cents: i64,
}

pub(crate) struct QuoteSource {
    pub(crate) base: String,
}

impl Source for QuoteSource {
    type Id = String;
    type Record = Quote;

    fn url(&self, symbol: &String) -> String {
        format!("{}/quotes/{symbol}", self.base)
    }

    fn decode(&self, _: &String, body: &[u8]) -> Result<Option<Quote>, DecodeError> {
        serde_json::from_slice(body).map_err(DecodeError::new)
    }
}

pub(crate) struct QuoteSink;

impl Sink for QuoteSink {
    type Id = String;
    type Record = Quote;
    type Connection = PgConnection;

    fn write(&self, conn: &mut PgConnection, batch: &[Settled<String, Quote>]) -> QueryResult<()> {
        let mut stored: Vec<_> = batch
            .iter()
            .filter_map(|row| match &row.outcome {
                Outcome::Stored(quote) => Some((&row.id, quote, row.received_at)),
                _ => None,
            })
            .collect();
        // Several processes may write at once. If all lock rows in the same order, none waits for another one in a circle.
        stored.sort_by_key(|(symbol, ..)| *symbol);
        for (symbol, quote, received_at) in stored {
            diesel::insert_into(quotes::table)
                .values((
                    quotes::symbol.eq(symbol),
                    quotes::price_cents.eq(quote.price_cents),
                    quotes::received_at.eq(received_at),
                ))
                .on_conflict(quotes::symbol)
                .do_update()
                .set((
                    quotes::price_cents.eq(excluded(quotes::price_cents)),
                    quotes::received_at.eq(excluded(quotes::received_at)),
                ))
                // An older answer never overwrites a newer one.
                .filter(quotes::received_at.le(excluded(quotes::received_at)))
                .execute(conn)?;
        }
        Ok(())
    }
}

/// Fetches these symbols into the database of a URL.
pub(crate) async fn ingest(
    base: String,
    database: &str,
    symbols: Vec<String>,
) -> Result<Report<String>, BoxError> {
    let pool = postgres::open(database)?;
    pool.get()?.run_pending_migrations(MIGRATIONS)?;
    let builder = Builder::new(QuoteSource { base }, QuoteSink);
    let pipeline = builder.pool(pool).start().await?;
    Ok(pipeline.run(symbols).await?)
}

#[actix_rt::main]
async fn main() -> Result<(), BoxError> {
    let database = env::args().nth(1).ok_or("name a postgres:// URL")?;
    let server = ScriptedServer::start();
    server.on("/quotes/ABC", [Reply::json(r#"{"price_cents":1250}"#)]);
    let report = ingest(server.url(), &database, vec!["ABC".to_owned()]).await?;
    println!("{} quotes stored", report.totals.stored);
    Ok(())
}
