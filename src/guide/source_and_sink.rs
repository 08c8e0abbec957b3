//! How to write a [`Source`](crate::Source) and a [`Sink`](crate::Sink), and how to test them.
//!
//! # The source
//!
//! It says where a record is and what its body means. It does not connect, wait or retry; so it can be tested without a server.
//!
//! ```
//! use hn_ingest::{DecodeError, Source};
//!
//! pub struct Prices { pub base: String, pub key: String }
//!
//! impl Source for Prices {
//!     type Id = String; // anything that is Clone + Send + Sync + Unpin + Display + Debug
//!     type Record = f64;
//!
//!     fn url(&self, symbol: &String) -> String {
//!         format!("{}/price/{symbol}", self.base)
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
//! let prices = Prices { base: "http://localhost".into(), key: "k".into() };
//! assert_eq!(prices.decode(&"X".into(), b"1.5").ok(), Some(Some(1.5)));
//! assert!(prices.decode(&"X".into(), b"<html>").is_err());
//! ```
//!
//! - `url` comes from an id that may come from anywhere: escape what is no number.
//! - `decode` fails for good: it sees whole bodies only, and a body that was cut short has been asked for again before.
//! - A body that is another record than the one asked for is a failure; only `decode` can see that.
//!
//! # The sink
//!
//! It writes a batch inside a transaction that is not its own, and may see an outcome again: a batch with a bad row is rolled back
//! and written row by row, the bad one as failed. So it upserts, and it commits nothing by itself.
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
//!             // What is absent or failed leaves an older price alone here; another table could keep account of it.
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
//! - An id may come twice in a batch: the later outcome wins. A multi-row upsert cannot do that in one statement.
//! - Two pipelines may commit answers for one id in either order. A table that keeps `received_at` of [`Settled`](crate::Settled)
//!   can refuse the older one: `… DO UPDATE SET … WHERE excluded.received_at >= prices.received_at`.
//! - Everything that belongs to the batch (a log of failures, a cursor) goes into the same transaction, and so never disagrees.
//! - A constraint costs its row; a full disk, an I/O error or a missing table ends the run.
//! - It makes no tables: a host's migrations do, before the pipeline starts.
//!
//! # Testing them
//!
//! With the feature `test-util`, [`test_util`](../../test_util/index.html) has a server on a real socket that answers, hangs,
//! breaks off and counts as it is told, with an example of a source tested against it.
//! `examples/other_api` is a source and a sink with migrations, in under a hundred lines.
