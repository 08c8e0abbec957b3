//! The guide: each concept once.
//!
//! | word | what it is | where |
//! |---|---|---|
//! | source | where a record is, and what its body means | [`Source`](crate::Source), [how to write one](source_and_sink) |
//! | sink | the tables that outcomes go to | [`Sink`](crate::Sink), [how to write one](source_and_sink) |
//! | pipeline | the actors between the two; its handle is `Clone + Send + Sync` | [`Builder`](crate::Builder), [`Pipeline`](crate::Pipeline) |
//! | run | one list of ids from start to report; runs of a pipeline queue, pipelines go side by side | [`Run`](crate::Run), [`RunWatch`](crate::RunWatch) |
//! | outcome | stored, absent or failed; not attempted is what was never committed | [`Outcome`](crate::Outcome), [`Report`](crate::Report) |
//! | settings | how many, how fast, how long | [`Config`](crate::Config), [tuning] |
//! | metrics | what an operator watches | [`metrics`](crate::ingest::metrics) |
//! | messages | what the handles send, for who holds the coordinator's address | [`messages`](crate::ingest::messages) |
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
//!     .own_arbiter()
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
//! `examples/actix_web.rs` is a whole host: it starts, watches, streams and cancels runs from handlers, reads through the
//! pool meanwhile, and ends in order.
//!
//! # What a host can rely on
//!
//! - Nothing is installed: no logger, panic hook, signal handler, TLS provider or metrics recorder. The environment is read by
//!   [`Config::from_env`](crate::Config::from_env) alone; `SSL_CERT_FILE` counts when an https URL is asked for.
//! - Opening, decoding, writing and closing are on blocking threads; the arbiter only passes messages and bytes.
//! - When the last handle is dropped ([`Pipeline`](crate::Pipeline) and [`Run`](crate::Run); watches and addresses hold
//!   nothing) the actors stop, requests are dropped, and connections and threads are freed. A run that is to go on needs one.
//! - A panic in a source costs the id that it was called for, and so does one in a sink: the batch is written row by row then. An
//!   id of which the sink can't even write the failure counts as not attempted; a sink that can write nothing of a batch ends the
//!   run. A list of ids that panics ends its run early, and the report says so.
//!
//! # What it does not promise
//!
//! - Records are not stored in the order of the list.
//! - Dropping the last handle is not a drain: what is fetched and not committed is lost, but that a batch
//!   being written may still be committed. [`Pipeline::shutdown`](crate::Pipeline::shutdown)
//!   is one.
//! - A write that has begun cannot be stopped; a shutdown that runs out of time calls its rows undecided.
//! - Runs know nothing of each other: an id that is in two lists is fetched twice.

pub mod source_and_sink;
pub mod tuning;
