//! How to write a [`Source`](crate::Source) and a [`Sink`](crate::Sink), and how to test them.
//!
//! # The source
//!
//! It says where a record is and what its body means. It does not connect, wait or retry, so it can be tested without a server.
//!
//! ```
//! use hn_ingest::{DecodeError, Source};
//!
//! pub struct Prices { pub base: url::Url, pub key: String }
//!
//! impl Source for Prices {
//!     type Id = String; // anything that is Clone + Send + Sync + Unpin + Display + Debug
//!     type Record = f64;
//!
//!     fn url(&self, symbol: &String) -> String {
//!         let mut url = self.base.clone();
//!         if let Ok(mut path) = url.path_segments_mut() {
//!             path.push("price").push(symbol); // escapes it
//!         }
//!         url.into()
//!     }
//!     fn headers(&self) -> Vec<(String, String)> {
//!         vec![("authorization".into(), format!("Bearer {}", self.key))]
//!     }
//!     fn is_absent(&self, status: u16) -> bool {
//!         status == 404 // without this a 404 is a failure
//!     }
//!     fn decode(&self, _: &String, body: &[u8]) -> Result<Option<f64>, DecodeError> {
//!         serde_json::from_slice(body).map_err(DecodeError::new) // `null` is `None`: absent
//!     }
//! }
//!
//! let prices = Prices { base: "http://localhost/v1".parse().unwrap(), key: "k".into() };
//! assert_eq!(prices.url(&"A/B".into()), "http://localhost/v1/price/A%2FB");
//! assert_eq!(prices.decode(&"X".into(), b"1.5").ok(), Some(Some(1.5)));
//! assert!(prices.decode(&"X".into(), b"<html>").is_err());
//! ```
//!
//! - An id may come from anywhere. Unless it is a number, escape it in `url`, as the crate `url` does here.
//! - `headers` is called once for each id, so its later attempts send the same headers.
//! - `decode` sees whole bodies only: a body that was cut short is asked for again first. So if `decode` fails, its id fails.
//! - `decode` runs on a blocking thread, for one body after the other. If it takes a millisecond, a pipeline stores no more than a
//!   thousand records per second.
//! - A body that is another record than the one that was asked for is a failure. Only `decode` can see that.
//!
//! # The sink
//!
//! It writes a batch inside a transaction that Storage has begun and will commit. It may see an outcome again: if one row is bad,
//! the batch is rolled back and written row by row, the bad row as failed. So a sink upserts, and commits nothing itself.
//!
//! ```
//! use diesel::{QueryResult, RunQueryDsl, SqliteConnection, sql_query, sql_types::{Double, Text}};
//! use hn_ingest::{Outcome, Settled, Sink};
//!
//! pub struct PriceTable;
//!
//! impl Sink for PriceTable {
//!     type Id = String;
//!     type Record = f64;
//!     type Connection = SqliteConnection;
//!
//!     fn write(&self, conn: &mut SqliteConnection, batch: &[Settled<String, f64>]) -> QueryResult<()> {
//!         for Settled { id: symbol, outcome, .. } in batch {
//!             // An id that is absent or failed keeps its older price here. Another table could record these outcomes.
//!             if let Outcome::Stored(price) = outcome {
//!                 sql_query("INSERT INTO prices VALUES (?, ?) ON CONFLICT (symbol) DO UPDATE SET price = excluded.price")
//!                     .bind::<Text, _>(symbol)
//!                     .bind::<Double, _>(price)
//!                     .execute(conn)?;
//!             }
//!         }
//!         Ok(())
//!     }
//! }
//! ```
//!
//! - An id may come twice in a batch, and then the later outcome wins. A multi-row upsert cannot do that in one statement.
//! - Two pipelines may commit answers for one id in either order. A table that keeps `received_at` of [`Settled`](crate::Settled)
//!   can refuse the older one: `… DO UPDATE SET … WHERE excluded.received_at >= prices.received_at`.
//! - Write everything that belongs to the batch (a log of failures, a cursor) in the same transaction. Then the tables never
//!   contradict each other.
//! - A row that violates a constraint fails, and no other row does. A full disk or an I/O error ends the run.
//! - Create the tables with migrations before the pipeline starts, not in the sink.
//!
//! # Testing them
//!
//! The feature `test-util` brings the module `hn_ingest::test_util`: a server on a real socket that answers, hangs, breaks off and
//! counts as its script says. Its documentation shows a source that is tested against it.
//! `examples/other_api` is a source and a sink with migrations, in under a hundred lines.
