//! Ingests an API whose answers are pages: an id is a page, a page has many records, and its `Link` header names the next page.
//! `cargo run --example pages` uses a server that it starts itself. Started again, it goes on where it was.
#![allow(missing_docs)]

use std::{error::Error, path::Path};

use diesel::{prelude::*, sql_query, sql_types::Text};
use futures_util::stream;
use hn_ingest::{
    Builder, Config, DecodeError, Outcome, Report, Response, Settled, Sink, Source,
    store::sqlite,
    test_util::{Reply, ScriptedServer},
};
use tokio::sync::mpsc;

type BoxError = Box<dyn Error + Send + Sync>;

// A real program has migrations; `examples/other_api` shows them.
const TABLES: [&str; 2] = [
    "CREATE TABLE IF NOT EXISTS words (word TEXT PRIMARY KEY NOT NULL)",
    "CREATE TABLE IF NOT EXISTS pages (path TEXT PRIMARY KEY NOT NULL, next TEXT)",
];

diesel::table! { words (word) { word -> Text } }
diesel::table! { pages (path) { path -> Text, next -> Nullable<Text> } }

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
    fn wants_headers(&self) -> bool {
        true
    }
    fn decode(&self, _: &String, body: &[u8]) -> Result<Option<Page>, DecodeError> {
        let words = serde_json::from_slice(body).map_err(DecodeError::new)?;
        Ok(Some(Page { words, next: None }))
    }
    fn decode_response(&self, path: &String, response: &Response<'_>) -> Result<Option<Page>, DecodeError> {
        let links = response.header("link").unwrap_or_default().split(',');
        let next = links.filter_map(|link| link.split_once(">; rel=\"next\"")).next();
        let next = next.map(|(link, _)| link.trim().trim_start_matches('<').to_owned());
        let page = self.decode(path, response.body())?;
        Ok(page.map(|page| Page { next, ..page }))
    }
    fn records_in(&self, page: &Page) -> u64 {
        page.words.len() as u64
    }
}

/// Writes the words of a page and what follows it in one transaction. So after a crash the last page written names the next one.
struct PagesSink;

impl Sink for PagesSink {
    type Id = String;
    type Record = Page;
    type Connection = SqliteConnection;

    fn write(&self, conn: &mut SqliteConnection, batch: &[Settled<String, Page>]) -> QueryResult<()> {
        for Settled { id: path, outcome, .. } in batch {
            let Outcome::Stored(page) = outcome else { continue };
            for word in &page.words {
                diesel::replace_into(words::table).values(words::word.eq(word)).execute(conn)?;
            }
            let row = (pages::path.eq(path), pages::next.eq(&page.next));
            diesel::replace_into(pages::table).values(row).execute(conn)?;
        }
        Ok(())
    }
}

/// Follows the pages from `first` on. A page that fails ends the run, and the next call tries it again.
pub(crate) async fn ingest(base: String, first: &str, file: &Path) -> Result<Report<String>, BoxError> {
    let pool = sqlite::open(file)?;
    for table in TABLES {
        sql_query(table).execute(&mut *pool.get()?)?;
    }
    // The page that a committed page names and that is not committed itself.
    let open_page = {
        let pool = pool.clone();
        move || -> Result<Option<String>, BoxError> {
            let known = pages::table.select(pages::path).into_boxed();
            let open = pages::table.select(pages::next.assume_not_null());
            let open = open.filter(pages::next.is_not_null());
            Ok(open.filter(pages::next.assume_not_null().ne_all(known)).first(&mut *pool.get()?).optional()?)
        }
    };
    let is_new = pages::table.count().get_result::<i64>(&mut *pool.get()?)? == 0;
    let start = if is_new { Some(first.to_owned()) } else { open_page()? };
    todo!()
}
