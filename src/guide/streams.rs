//! A run that stays open: ids that come one by one, runs beside it, a queue in the database, and what a server announces.
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
//! - The stream is polled only while a fetcher is idle or fewer ids are read ahead than [`mailbox`](crate::Config::mailbox)
//!   allows. So a bounded channel slows its senders down when the API or the database is slow.
//! - An id is requested as soon as a fetcher is idle. Its record is committed at most [`linger`](crate::Config::linger) after it
//!   was fetched, however few there are. The time of the commit itself comes on top, and that of one batch of another run if
//!   there is one.
//! - Memory and report do not grow with the time that a run stays open. [`Progress::last_minute`](crate::Progress::last_minute)
//!   says how fast it is now.
//! - An [outage](super::failures) that lasts longer than [`outage_patience`](crate::Config::outage_patience) ends the run, and so
//!   do [`max_refusals`](crate::Config::max_refusals) refused ids in a row. Then the stream is dropped with the ids in it. A host
//!   that goes on starts another run.
//! - A report lists the first hundred failures. [`run_with_outcomes`](crate::Pipeline::run_with_outcomes) names all of them, or
//!   the [`Sink`](crate::Sink) can record them.
//!
//! # Runs side by side
//!
//! All runs of a pipeline go on at the same time. They share its fetchers, its rate and its database, and each has its own
//! report. A host that wants one run after the other awaits the first one before it starts the next.
//!
//! Each run has a [`Priority`](crate::Priority). Here, ids that come live never wait behind a backfill:
//!
//! ```no_run
//! use futures_util::Stream;
//! use hn_ingest::{Pipeline, PipelineStopped, Priority, Start};
//!
//! async fn mirror(
//!     pipeline: &Pipeline<i64>,
//!     new_ids: impl Stream<Item = i64> + Send + 'static,
//! ) -> Result<(), PipelineStopped> {
//!     let live = pipeline.start(Start::stream(new_ids).priority(Priority::High));
//!     let backfill = pipeline.start(Start::list(1..=1_000_000).priority(Priority::Low));
//!     println!("{} stored", backfill.await?.totals.stored);
//!     println!("{} stored live", live.await?.totals.stored);
//!     Ok(())
//! }
//! ```
//!
//! - `Start::list(ids).priority(Priority::Low).with_outcomes()` also returns [what becomes of each id](crate::Outcomes).
//! - An idle fetcher gets an id of the run with the highest priority that has one. Of runs with equal priority, the one comes
//!   first that has the fewest ids at fetchers, and then the one that has waited longest: they take turns, id by id.
//! - As long as a run with a higher priority is open, the lower ones use one fetcher less, even while it has no id. If all
//!   fetchers are busy when its id comes, because it was opened late or has more ids than that, an id of the lower ones gives way
//!   that waits for its next attempt or for the rate. It keeps its attempts and its backoff. Only requests in flight are waited
//!   for.
//! - The [rate](crate::Config::rate), a time in which the API wants no requests, and the in-flight limit hold for all requests
//!   together. Waiting requests start by priority, and in their order within one. This also counts between pipelines that share a
//!   [client](crate::Builder::client). (They share its connections, too. Make the client with at least as many
//!   [`workers`](crate::Config::workers) as they have together.)
//! - A run with a high priority that always has ids leaves the others only what it does not need.
//! - Each batch has rows of one run. Batches are written by priority, and runs of equal priority take turns.
//! - What one run waits for holds up no other: its stream, its reader of outcomes, an outage of the API, or its drain after a
//!   cancel. (Its requests in flight keep their fetchers meanwhile.) Each run has its own room for what is fetched and not
//!   committed: two batches' rows, and 16 MiB of bodies.
//! - [`pause`](crate::Pipeline::pause), [`set_rate`](crate::Pipeline::set_rate) and [`set_workers`](crate::Pipeline::set_workers)
//!   are for all runs. If nothing more can be committed, all runs end.
//!
//! # A queue in the database
//!
//! Ids in a channel are lost when the process ends. Ids in a table are not. The sink removes an id from the table in the
//! transaction that stores its record. So each id is in the queue or done, whatever happens in between:
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
//! To run the queue, read the ids from the table and give them to [`Pipeline::run`](crate::Pipeline::run). An id that comes into
//! the queue twice is fetched twice, which does no harm because the sink upserts. Ids that a run did not attempt are still in the
//! table, so the next run reads them again.
//!
//! # Announced ids
//!
//! Some servers announce what changes as server-sent events: one answer (`text/event-stream`) that never ends. A
//! [`Source`](crate::Source) can name such a stream, and say which ids an event announces. Then
//! [`Pipeline::run_events`](crate::Pipeline::run_events) is a run of these ids:
//!
//! ```no_run
//! use hn_ingest::{DecodeError, Pipeline, PipelineStopped, Priority, Request, ServerEvent, Source, Start};
//!
//! struct Notes;
//!
//! impl Source for Notes {
//!     type Id = i64;
//!     type Record = String;
//!
//!     fn url(&self, id: &i64) -> String {
//!         format!("https://api.test/notes/{id}")
//!     }
//!
//!     fn decode(&self, _: &i64, body: &[u8]) -> Result<Option<String>, DecodeError> {
//!         String::from_utf8(body.to_vec()).map(Some).map_err(DecodeError::new)
//!     }
//!
//!     fn events(&self) -> Option<Request> {
//!         Some(Request::get("https://api.test/notes/changed"))
//!     }
//!
//!     /// The data of an event is an id.
//!     fn announced(&self, event: &ServerEvent) -> Result<Vec<i64>, DecodeError> {
//!         Ok(vec![event.data.parse().map_err(DecodeError::new)?])
//!     }
//! }
//!
//! async fn follow(pipeline: &Pipeline<i64>) -> Result<(), PipelineStopped> {
//!     let (start, mut events) = Start::events(); // or pipeline.run_events()
//!     let run = pipeline.start(start.priority(Priority::High));
//!     let mut opened = 0;
//!     while let Some(now) = events.changed().await {
//!         if now.opened > opened {
//!             opened = now.opened;
//!             // What was announced while no stream was open is lost. Fetch what may have changed, here in a run beside this one.
//!             drop(pipeline.run(1..=100));
//!         }
//!     }
//!     let report = run.await?;
//!     println!("{} stored; {:?}", report.totals.stored, report.list_failed);
//!     Ok(())
//! }
//! ```
//!
//! - The pipeline reads the stream with its own client, also on [a thread of its own](crate::Builder::own_thread). It connects
//!   again whenever the stream breaks, with the waits [below](#event-streams).
//! - An announced id is requested as soon as a fetcher is idle, and committed within [`linger`](crate::Config::linger), as in any
//!   [long-lived stream](#a-long-lived-stream).
//! - While an id waits, it is not added once more. One that is in flight is: its record may have changed since it was requested.
//! - While ten thousand ids wait, no further event is read. The rest of a flood is left to TCP, so nothing of it is lost, unless
//!   the server loses patience and closes the stream.
//! - [`EventWatch`](crate::EventWatch) says how often the stream was opened, whether it is open, and why it broke. It need not be
//!   read.
//! - An event that `announced` returns an error for, or panics at, costs only itself.
//! - The run ends when it is cancelled, or when the pipeline is shut down. It also ends when connecting again would not help: the
//!   server has no such stream, or refuses it. Ids that wait are still fetched then, and
//!   [`Report::list_failed`](crate::Report::list_failed) says why.
//!
//! # Event streams
//!
//! [`Client::events`](crate::Client::events) reads a stream for other purposes, such as several streams for one run:
//!
//! ```no_run
//! use hn_ingest::{Client, EventStreamError, EventStreamItem};
//! use tokio::sync::mpsc::Sender;
//!
//! async fn announce(client: &Client, ids: &Sender<i64>) -> Result<(), EventStreamError> {
//!     let mut events = client.events("https://api.test/newest", &[]);
//!     loop {
//!         match events.next().await? {
//!             EventStreamItem::Event(event) => {
//!                 if let Ok(id) = event.data.parse() {
//!                     ids.send(id).await.ok();
//!                 }
//!             }
//!             // What was announced before this connection is lost. Ask for it in another way.
//!             EventStreamItem::Opened => {}
//!             // The stream connects again by itself.
//!             EventStreamItem::Interrupted { failure, wait, .. } => eprintln!("{failure}; again in {wait:?}"),
//!             _ => {}
//!         }
//!     }
//! }
//! ```
//!
//! - The stream connects again when the server ends it, when the connection breaks, when nothing comes for
//!   [45 seconds](crate::EventStream::idle_timeout), or when a line or an event is larger than
//!   [`max_body`](crate::Config::max_body). It also does after a failure that may pass, such as a timeout, 429 or 5xx. Comments
//!   keep a connection alive.
//! - The wait before that is between half of the backoff and all of it. It begins at [`backoff`](crate::Config::backoff), doubles
//!   up to [`backoff_max`](crate::Config::backoff_max), and begins anew after an event. `Retry-After` makes it longer. A `retry`
//!   of the server is added, up to ten minutes.
//! - [`Opened`](crate::EventStreamItem::Opened) comes before the events of each connection. Most servers have no replay. To those
//!   that send ids, the last one is sent as `Last-Event-ID`.
//! - Each connect begins at the URL, so a redirect to another host is resolved anew. The rules for redirects are those of every
//!   request: three at most, never from https to http, and no headers of the caller to another host.
//! - [`NoStreams`](crate::EventStreamError::NoStreams) says that the server answers with something else: with another content
//!   type, or with 204, 404, 405, 406, 410 or 501. Then poll the URL. After [`Refused`](crate::EventStreamError::Refused),
//!   connecting again would not help either.
//! - A connect takes a permit of the client, as any request does: it waits for the rate and for a time in which the API wants no
//!   requests. An open stream takes nothing from other requests. It is no request in flight, and its connection comes on top of
//!   those of the pool.
//! - Unread events are left to TCP: a slow reader slows the server down, and memory stays bounded. The time in which nobody reads
//!   does not count as silence.
