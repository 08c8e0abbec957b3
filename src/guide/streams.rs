//! A run that stays open: ids that come one by one, and a queue in the database.
//!
//! # A long-lived stream
//!
//! [`Pipeline::run_stream`](crate::Pipeline::run_stream) takes any stream of ids. It may stay open for as long as the host likes.
//! Here, other tasks of the host push ids into a channel:
//!
//! ```no_run
//! use futures_util::stream;
//! use hn_ingest::{Pipeline, PipelineStopped};
//! use tokio::sync::mpsc;
//!
//! async fn serve_queue(pipeline: &Pipeline<i64>) -> Result<(), PipelineStopped> {
//!     let (sender, receiver) = mpsc::channel(1000);
//!     let ids = stream::unfold(receiver, |mut receiver| async {
//!         Some((receiver.recv().await?, receiver))
//!     });
//!     let run = pipeline.run_stream(ids);
//!     sender.send(8863).await.ok(); // from any task, at any time
//!     drop(sender); // ends the stream, and so the run
//!     println!("{} stored", run.await?.totals.stored);
//!     Ok(())
//! }
//! ```
//!
//! - The stream is polled only while a fetcher is idle or fewer ids are read ahead than [`mailbox`](crate::Config::mailbox) allows.
//!   So a bounded channel slows its senders down when the API or the database is slow.
//! - A record is committed at most [`linger`](crate::Config::linger) after it was fetched, however few there are. The time of the
//!   commit itself comes on top.
//! - Runs of one pipeline wait for each other, and an open run does not end. Use a second pipeline for other runs.
//! - An [outage](super::failures) that lasts longer than [`outage_patience`](crate::Config::outage_patience) ends the run, and so do
//!   [`max_refusals`](crate::Config::max_refusals) refused ids in a row. Then the stream is dropped with the ids in it. A host that
//!   goes on starts another run.
//! - A report lists the first hundred failures. [`run_with_outcomes`](crate::Pipeline::run_with_outcomes) names all of them, or the
//!   [`Sink`](crate::Sink) can record them.
//!
//! # A queue in the database
//!
//! Ids in a channel are lost when the process ends. Ids in a table are not. The sink removes an id from the table in the transaction
//! that stores its record. So each id is in the queue or done, whatever happens in between:
//!
//! ```
//! use diesel::{QueryResult, RunQueryDsl, SqliteConnection, sql_query, sql_types::{Double, Text}};
//! use hn_ingest::{Outcome, Settled, Sink};
//!
//! pub struct PricesFromQueue;
//!
//! impl Sink for PricesFromQueue {
//!     type Id = String;
//!     type Record = f64;
//!     type Connection = SqliteConnection;
//!
//!     fn write(&self, conn: &mut SqliteConnection, batch: &[Settled<String, f64>]) -> QueryResult<()> {
//!         for Settled { id: symbol, outcome, .. } in batch {
//!             if let Outcome::Stored(price) = outcome {
//!                 sql_query("INSERT INTO prices VALUES (?, ?) ON CONFLICT (symbol) DO UPDATE SET price = excluded.price")
//!                     .bind::<Text, _>(symbol)
//!                     .bind::<Double, _>(price)
//!                     .execute(conn)?;
//!             }
//!             // An id that failed stays in the queue, and the next run tries it again.
//!             if !matches!(outcome, Outcome::Failed(_)) {
//!                 sql_query("DELETE FROM queue WHERE symbol = ?").bind::<Text, _>(symbol).execute(conn)?;
//!             }
//!         }
//!         Ok(())
//!     }
//! }
//! ```
//!
//! To run the queue, read the ids from the table and give them to [`Pipeline::run`](crate::Pipeline::run). An id that comes into the
//! queue twice is fetched twice, which does no harm because the sink upserts. Ids that a run did not attempt are still in the table,
//! so the next run reads them again.
