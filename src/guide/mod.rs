//! The guide: each concept once.
//!
//! | term | what it is | where |
//! |---|---|---|
//! | source | where a record is, and what its body means | [`Source`](crate::Source), [how to write one](source_and_sink) |
//! | sink | the tables that outcomes are written to | [`Sink`](crate::Sink), [how to write one](source_and_sink) |
//! | pipeline | the actors between the two; its handle is `Clone + Send + Sync` | [`Builder`](crate::Builder), [`Pipeline`](crate::Pipeline) |
//! | run | one list of ids, from start to report; the runs of one pipeline go on [side by side](streams#runs-side-by-side) | [`Run`](crate::Run), [`RunWatch`](crate::RunWatch) |
//! | outcome | how an id ended: stored, absent or failed; an id without a committed outcome is not attempted | [`Outcome`](crate::Outcome), [`Report`](crate::Report) |
//! | System, arbiter | where a pipeline runs, and what ends it | [signals and ends of Systems](systems), [plain tokio](systems#plain-tokio) |
//! | settings | how many, how fast, how long | [settings], [`Config`](crate::Config), [tuning] |
//! | stream | ids that come one by one, or from a queue | [streams], [`Pipeline::run_stream`](crate::Pipeline::run_stream) |
//! | what became of each id | a stream of outcomes after their commit | [`Pipeline::run_with_outcomes`](crate::Pipeline::run_with_outcomes), [`Outcomes`](crate::Outcomes) |
//! | event stream | what a server announces: [server-sent events](streams#event-streams) | [`Client::events`](crate::Client::events), [`EventStream`](crate::EventStream) |
//! | announced ids | a run of the ids that [a source's event stream](streams#announced-ids) announces | [`Source::events`](crate::Source::events), [`Pipeline::run_events`](crate::Pipeline::run_events) |
//! | failures | what is tried again, when, and what an outage is | [failures], [`Failure`](crate::Failure) |
//! | metrics | what an operator watches | [`metrics`](crate::ingest::metrics) |
//! | messages | what the handles send to the coordinator, for hosts that hold its address | [`messages`](crate::ingest::messages) |
//!
//! # In a host
//!
//! ```no_run
//! use std::time::Duration;
//! use futures_util::StreamExt;
//! use hn_ingest::{Builder, hn};
//!
//! # async fn host() -> Result<(), Box<dyn std::error::Error>> {
//! let source = hn::HnSource::new(hn::PUBLIC_API)?;
//! let pipeline = Builder::new(source, hn::HnSink::new())
//!     .database("hn.db") // or .pool(yours)
//!     .own_thread()
//!     .start()
//!     .await?;
//! let run = pipeline.run(1..=100_000);
//! let mut events = Box::pin(run.events(Duration::from_secs(1)));
//! while let Some(progress) = events.next().await {
//!     println!("{} of {}", progress.settled(), progress.requested);
//! }
//! let report = run.await?;
//! let down = pipeline.shutdown(Duration::from_secs(10)).await?;
//! println!("{} stored, {} left at the end", report.totals.stored, down.not_attempted);
//! # Ok(()) }
//! ```
//!
//! With [`own_thread`](crate::Builder::own_thread), this works in actix-web, in plain tokio and everywhere else.
//! `examples/actix_web.rs` is a whole host. It starts, watches, streams and cancels runs from handlers, reads through the pool
//! meanwhile, and drains when a signal stops its server.
//!
//! # What a host can rely on
//!
//! - The library installs no logger, panic hook, signal handler, TLS provider or metrics recorder. It
//!   reads settings from the environment only in [`Config::from_env`](crate::Config::from_env) and
//!   [`HttpProxy::from_env`](crate::ingest::config::HttpProxy::from_env), and for https `SSL_CERT_FILE` and `SSL_CERT_DIR`.
//! - Opening, decoding, writing and closing happen on blocking threads. The arbiter passes messages and bytes.
//! - When the last [`Pipeline`](crate::Pipeline) and [`Run`](crate::Run) of a pipeline are dropped, its actors stop, its requests
//!   are dropped, and its connections and threads are freed. A [`RunWatch`](crate::RunWatch) or an address keeps nothing alive,
//!   so a run that is to go on needs one of the handles.
//! - A panic in a source costs the id that it was called for. A panic in a sink makes the batch be written row by row, and costs
//!   the row that panics again. An id of which not even the failure can be written counts as not attempted. If nothing of a batch
//!   can be written, the run ends. A list of ids that panics ends its run early, and the report says so.
//! - Pipelines that are given the same [`Client`](crate::Client) share its connections and its throttle: rate, waits for
//!   `Retry-After`, and adaptive limits. Deadlines, attempts and the largest body are each pipeline's own. If a pipeline's `rate`
//!   or `adaptive` contradicts those of its client, it [does not start](crate::StartError::ClientDiffers).
//!
//! # What it does not promise
//!
//! - Records are not stored in the order of the list.
//! - Dropping the last handle is not a drain: what was fetched and not committed is lost, and a batch that is being written may
//!   still be committed. [`Pipeline::shutdown`](crate::Pipeline::shutdown) is a drain.
//! - A write that has begun cannot be stopped. A shutdown that runs out of time counts its rows as undecided.
//! - Runs know nothing of each other: an id that is in two lists is fetched twice.
//! - A pipeline without [a thread of its own](crate::Builder::own_thread) does not outlive the arbiter that it was started on.
//!   actix-web's server stops its workers on SIGINT and SIGTERM. [What a host does then](systems).
//! - A `Drop` of the host's ids that panics may end the pipeline. (One of a record or of a list of ids does no harm.)

pub mod source_and_sink;
pub mod systems;
pub mod streams;
pub mod settings;
pub mod tuning;
pub mod failures;
