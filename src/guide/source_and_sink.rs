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
//! - `url` and `headers` are called for each attempt, just before it starts. So a token that was renewed during a backoff is
//!   sent.
//! - `decode` sees whole bodies only: a body that was cut short is asked for again first. So if `decode` fails, its id fails.
//! - `decode` runs on blocking threads, on several at once if a batch takes long.
//! - A body that is another record than the one that was asked for is a failure. Only `decode` can see that.
//!
//! ## Other requests: GraphQL
//!
//! [`Source::request`](crate::Source::request) makes the whole [`Request`](crate::Request), with method and body. It replaces the
//! GET of `url` with `headers`.
//!
//! ```
//! use hn_ingest::{DecodeError, Request, Source};
//! use serde_json::{Value, json};
//!
//! pub struct Films { pub endpoint: String, pub key: String }
//!
//! impl Source for Films {
//!     type Id = String;
//!     type Record = String;
//!
//!     fn url(&self, _: &String) -> String {
//!         self.endpoint.clone()
//!     }
//!     fn request(&self, id: &String) -> Request {
//!         let query = "query($id: ID!) { film(id: $id) { title } }";
//!         let body = json!({ "query": query, "variables": { "id": id } });
//!         Request::post(self.url(id), body.to_string())
//!             .header("content-type", "application/json")
//!             .header("authorization", format!("Bearer {}", self.key))
//!     }
//!     fn decode(&self, _: &String, body: &[u8]) -> Result<Option<String>, DecodeError> {
//!         let answer: Value = serde_json::from_slice(body).map_err(DecodeError::new)?;
//!         // GraphQL reports errors with status 200.
//!         if let Some(errors) = answer.get("errors") {
//!             return Err(DecodeError::new(errors.to_string()));
//!         }
//!         Ok(answer["data"]["film"]["title"].as_str().map(str::to_owned)) // no such film: `null`
//!     }
//! }
//!
//! let films = Films { endpoint: "http://localhost/graphql".into(), key: "k".into() };
//! assert_eq!(films.request(&"4".into()).method, "POST");
//! assert_eq!(films.decode(&"4".into(), br#"{"data":{"film":null}}"#).ok(), Some(None));
//! ```
//!
//! - A request may be sent more than once, as every attempt is. A query may. If a repetition does harm, say
//!   [`Request::once`](crate::Request::once).
//! - Redirects are followed as RFC 9110 says: after 303, and after 301 or 302 for a POST, with a GET without body; after 307 and
//!   308 with the same method and body. Another origin gets none of the source's headers but those that describe the body
//!   (`content-…`).
//!
//! ## Status and headers: conditional requests
//!
//! [`Source::is_answer`](crate::Source::is_answer) says which statuses are decoded, and
//! [`Source::decode_response`](crate::Source::decode_response) sees the status. It sees headers if
//! [`Source::wants_headers`](crate::Source::wants_headers) says so.
//!
//! ```
//! use hn_ingest::{DecodeError, Request, Response, Source};
//! use std::collections::HashMap;
//!
//! /// `tags` are the ETags of the pages that are in the database.
//! pub struct Docs { pub base: String, pub tags: HashMap<u32, String> }
//!
//! pub enum Doc {
//!     /// The sink only notes when it was looked at.
//!     Unchanged,
//!     Changed { text: String, tag: Option<String> },
//! }
//!
//! impl Source for Docs {
//!     type Id = u32;
//!     type Record = Doc;
//!
//!     fn url(&self, id: &u32) -> String {
//!         format!("{}/{id}", self.base)
//!     }
//!     fn request(&self, id: &u32) -> Request {
//!         let request = Request::get(self.url(id));
//!         match self.tags.get(id) {
//!             Some(tag) => request.header("if-none-match", tag),
//!             None => request,
//!         }
//!     }
//!     fn is_answer(&self, status: u16) -> bool {
//!         matches!(status, 200 | 304)
//!     }
//!     fn wants_headers(&self) -> bool {
//!         true
//!     }
//!     fn decode_response(&self, id: &u32, response: &Response<'_>) -> Result<Option<Doc>, DecodeError> {
//!         if response.status() == 304 {
//!             return Ok(Some(Doc::Unchanged));
//!         }
//!         let tag = response.header("etag").map(str::to_owned);
//!         let doc = self.decode(id, response.body())?;
//!         Ok(doc.map(|doc| match doc {
//!             Doc::Changed { text, .. } => Doc::Changed { text, tag },
//!             Doc::Unchanged => Doc::Unchanged,
//!         }))
//!     }
//!     fn decode(&self, _: &u32, body: &[u8]) -> Result<Option<Doc>, DecodeError> {
//!         let text = String::from_utf8(body.to_vec()).map_err(DecodeError::new)?;
//!         Ok(Some(Doc::Changed { text, tag: None }))
//!     }
//! }
//!
//! let docs = Docs { base: "http://localhost".into(), tags: HashMap::new() };
//! let unchanged = docs.decode_response(&1, &Response::new(304, &[], b""));
//! assert!(matches!(unchanged, Ok(Some(Doc::Unchanged))));
//! ```
//!
//! ## Tokens that expire
//!
//! [`Source::refreshes_after`](crate::Source::refreshes_after) says after which statuses a new token may help, and
//! [`Source::refresh`](crate::Source::refresh) gets one. The attempt that ended so counts; then the id is tried again at once.
//!
//! ```
//! use hn_ingest::{DecodeError, RefreshError, Source};
//! use std::sync::RwLock;
//!
//! pub struct Orders { pub base: String, pub token: RwLock<String> }
//!
//! impl Source for Orders {
//!     type Id = u64;
//!     type Record = Vec<u8>;
//!
//!     fn url(&self, id: &u64) -> String {
//!         format!("{}/orders/{id}", self.base)
//!     }
//!     fn headers(&self) -> Vec<(String, String)> {
//!         let token = self.token.read().map(|token| token.clone()).unwrap_or_default();
//!         vec![("authorization".into(), format!("Bearer {token}"))]
//!     }
//!     fn refreshes_after(&self, status: u16) -> bool {
//!         status == 401
//!     }
//!     async fn refresh(&self) -> Result<(), RefreshError> {
//!         let new = log_in().await.map_err(RefreshError::new)?;
//!         *self.token.write().map_err(|_| RefreshError::new("the token is lost"))? = new;
//!         Ok(())
//!     }
//!     fn decode(&self, _: &u64, body: &[u8]) -> Result<Option<Vec<u8>>, DecodeError> {
//!         Ok(Some(body.to_vec()))
//!     }
//! }
//!
//! /// Uses the HTTP client of the host, for example.
//! async fn log_in() -> Result<String, std::io::Error> {
//!     Ok("secret".into())
//! }
//! ```
//!
//! - There is one refresh for all ids that wait, and no attempt starts meanwhile. It may take as long as one attempt
//!   ([`Config::timeout`](crate::Config::timeout)).
//! - If it fails, the ids that wait fail with the kind `status`. The message names the status and the error. Like other refusals,
//!   such failures end the run if they are many ([`Config::max_refusals`](crate::Config::max_refusals)), and their ids are left
//!   to the next run. If it panics, the ids that wait fail with the kind `panic`.
//! - It sends its requests by itself, so neither [`Config::rate`](crate::Config::rate) nor the retries of the pipeline count for
//!   it.
//!
//! ## Pages
//!
//! An id may be a page of many records. [`Source::records_in`](crate::Source::records_in) says how many, for
//! [`Progress::records`](crate::Progress::records); everything else counts ids. `examples/pages.rs` follows the pages of an API:
//! each page is stored together with the path of the next one, and that is given to the run once the page is committed.
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
//! The feature `test-util` brings the module `hn_ingest::test_util`: a server on a real socket that answers, hangs, breaks off
//! and counts as its script says. Its documentation shows a source that is tested against it. `examples/other_api` is a source
//! and a sink with migrations, in under a hundred lines.
//!
//! # Another database
//!
//! A sink's connection need not be Diesel's. A type that implements [`StoreConnection`](crate::store::StoreConnection) says how a
//! pool of it is opened, how a transaction begins and ends, and what its errors mean: another transaction is in the way, one row
//! is at fault, or nothing more can be committed. `examples/json_lines.rs` does so for a file with one JSON object a line.
