//! Fetches the items whose ids stand on standard input and stores them: `plain-rust BASE_URL DATABASE WORKERS`.
//!
//! One thread, `buffer_unordered`, one connection to SQLite, a transaction for every 500 rows. No retries, no checks of what came.

use std::{error::Error, io::stdin, time::Duration};

use futures_util::{StreamExt, stream};
use rusqlite::{Connection, params};
use serde_json::Value;

const BATCH: usize = 500;
const INSERT: &str = "INSERT OR REPLACE INTO items
    (id, type, by, time, title, url, text, score, descendants, parent, kids)
    VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)";

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let args: Vec<String> = std::env::args().collect();
    let [_, base, database, workers] = &args[..] else {
        return Err("usage: plain-rust BASE_URL DATABASE WORKERS < ids".into());
    };
    let mut conn = Connection::open(database)?;
    conn.execute_batch(
        "PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL;
         CREATE TABLE items (id INTEGER PRIMARY KEY, type TEXT, by TEXT, time INTEGER, title TEXT, url TEXT, text TEXT,
                             score INTEGER, descendants INTEGER, parent INTEGER, kids TEXT)",
    )?;
    let client = reqwest::Client::builder()
        .timeout(Duration::from_secs(10))
        .build()?;
    let items = stream::iter(stdin().lines())
        .map(|id| {
            let client = &client;
            async move {
                let url = format!("{base}/item/{}.json", id?.trim());
                let answer = client.get(url).send().await?.error_for_status()?;
                let item: Value = serde_json::from_slice(&answer.bytes().await?)?;
                Ok::<_, Box<dyn Error>>(item)
            }
        })
        .buffer_unordered(workers.parse()?);
    let mut batches = std::pin::pin!(items.chunks(BATCH));
    let mut stored = 0;
    while let Some(batch) = batches.next().await {
        let transaction = conn.transaction()?;
        let mut insert = transaction.prepare_cached(INSERT)?;
        for item in batch {
            let item = item?;
            let text = |name: &str| item[name].as_str();
            let number = |name: &str| item[name].as_i64();
            let kids = item.get("kids").map(Value::to_string);
            stored += insert.execute(params![
                number("id"),
                text("type"),
                text("by"),
                number("time"),
                text("title"),
                text("url"),
                text("text"),
                number("score"),
                number("descendants"),
                number("parent"),
                kids,
            ])?;
        }
        drop(insert);
        transaction.commit()?;
    }
    println!("{stored}");
    Ok(())
}
