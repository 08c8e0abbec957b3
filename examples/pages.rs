//! Ingests an API whose answers are pages: an id is the path of a page, and a page has many records and the path of the
//! next page. `cargo run --example pages` uses a server that it starts itself. Started again, it goes on where it was.
#![allow(missing_docs)]

use std::{error::Error, path::Path, time::Duration};

use diesel::{connection::SimpleConnection, prelude::*};
use futures_util::stream;
use hn_ingest::{
    Builder, Config, DecodeError, Outcome, Report, Settled, Sink, Source,
    store::{Pool, sqlite},
    test_util::{Reply, ScriptedServer},
};
use serde::Deserialize;
use tokio::sync::mpsc;

type BoxError = Box<dyn Error + Send + Sync>;

// A real program has migrations; `examples/other_api` shows them.
const TABLES: &str = "CREATE TABLE IF NOT EXISTS words (word TEXT PRIMARY KEY NOT NULL);
    CREATE TABLE IF NOT EXISTS pages (path TEXT PRIMARY KEY NOT NULL, next TEXT);";

diesel::table! { words (word) { word -> Text } }
diesel::table! { pages (path) { path -> Text, next -> Nullable<Text> } }

#[derive(Deserialize)]
struct Page {
    words: Vec<String>,
    /// The path of the next page.
    next: Option<String>,
}

struct PagesSource {
    base: String,
}

impl Source for PagesSource {
    type Id = String;
    type Record = Page;

    fn url(&self, path: &String) -> String {
        format!("{}{path}", self.base)
    }
    fn decode(&self, _: &String, body: &[u8]) -> Result<Option<Page>, DecodeError> {
        serde_json::from_slice(body).map_err(DecodeError::new)
    }
    fn records_in(&self, page: &Page) -> u64 {
        page.words.len() as u64
    }
}

/// Writes a page's words and the path of the next page in one transaction. So after a crash the last page names the next one.
struct PagesSink;

impl Sink for PagesSink {
    type Id = String;
    type Record = Page;
    type Connection = SqliteConnection;

    fn write(
        &self,
        conn: &mut SqliteConnection,
        batch: &[Settled<String, Page>],
    ) -> QueryResult<()> {
        for row in batch {
            let Outcome::Stored(page) = &row.outcome else {
                continue;
            };
            for word in &page.words {
                let word = words::word.eq(word);
                diesel::replace_into(words::table)
                    .values(word)
                    .execute(conn)?;
            }
            let page = (pages::path.eq(&row.id), pages::next.eq(&page.next));
            diesel::replace_into(pages::table)
                .values(page)
                .execute(conn)?;
        }
        Ok(())
    }
}

/// The page that follows a stored one. `None` if it is the last one or is not stored.
fn next_page(pool: &Pool<SqliteConnection>, path: &str) -> Result<Option<String>, BoxError> {
    let row = pages::table.find(path).select(pages::next);
    let next: Option<Option<String>> = row.first(&mut *pool.get()?).optional()?;
    Ok(next.flatten())
}

/// Follows the pages from the first one on, or from the last one that an earlier call knew. Ends with the last page or with a page
/// that fails.
pub(crate) async fn ingest(
    base: String,
    first: &str,
    file: &Path,
) -> Result<Report<String>, BoxError> {
    let pool = sqlite::open(file)?;
    pool.get()?.batch_execute(TABLES)?;
    let mut start = first.to_owned();
    while let Some(next) = next_page(&pool, &start)? {
        start = next;
    }
    let config = Config {
        // No page comes before the last one is committed, so there is nothing to wait for.
        linger: Duration::ZERO,
        ..Config::default()
    };
    let builder = Builder::new(PagesSource { base }, PagesSink).config(config);
    let pipeline = builder.pool(pool.clone()).start().await?;
    let (sender, mut paths) = mpsc::unbounded_channel();
    sender.send(start)?;
    // While this is `Some`, more pages may come, so the run goes on.
    let mut sender = Some(sender);
    let stream = stream::poll_fn(move |cx| paths.poll_recv(cx));
    let (run, mut outcomes) = pipeline.run_with_outcomes(stream);
    while let Some(batch) = outcomes.next_batch().await {
        for page in batch {
            match (next_page(&pool, &page.id)?, &sender) {
                (Some(next), Some(sender)) => sender.send(next)?,
                _ => sender = None,
            }
        }
    }
    Ok(run.await?)
}

#[actix_rt::main]
async fn main() -> Result<(), BoxError> {
    let server = ScriptedServer::start();
    let first = r#"{"words":["actor","arbiter"],"next":"/words?page=2"}"#;
    server.on("/words?page=1", [Reply::json(first)]);
    server.on("/words?page=2", [Reply::json(r#"{"words":["mailbox"]}"#)]);
    let report = ingest(server.url(), "/words?page=1", "words.db".as_ref()).await?;
    let totals = report.totals;
    println!("{} words on {} pages", totals.records, totals.stored);
    Ok(())
}
