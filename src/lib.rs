//! Ingests a list of ids from an HTTP API into a database with a fixed pool of actors, and loses none.
//!
//! ```text
//!  ids ──► Coordinator ──Fetch(id)──► Fetcher 1..N ──HTTP──► API
//!               ▲  │  ◄──Fetched(id, answer)──┘   (own timeout, own retries)
//!               │  └──Save(outcome)──► Storage ──one transaction per batch──► SQLite, PostgreSQL
//!               └───── Committed ◄────────┘
//! ```
//!
//! The [`ingest`] engine knows no API and no table. A [`Source`] says where a record is and what it means, a [`Sink`] writes it.
//! [Hacker News](hn) ships with it. A [`Builder`] starts a [`Pipeline`], and each list of ids is a [`Run`] with a [`Report`]:
//!
//! ```no_run
//! use hn_ingest::{Builder, Config, hn, store::sqlite};
//!
//! #[tokio::main] // or #[actix_web::main]
//! async fn main() -> Result<(), Box<dyn std::error::Error>> {
//!     let pool = sqlite::open("hn.db".as_ref())?;
//!     hn::migrations::run(&mut *pool.get()?)?;
//!     let source = hn::HnSource::new(hn::PUBLIC_API)?;
//!     let pipeline = Builder::new(source, hn::HnSink::new())
//!         .pool(pool)
//!         .config(Config { workers: 8, ..Config::default() })
//!         .own_thread()
//!         .start()
//!         .await?;
//!     let report = pipeline.run([8863, 121003]).await?;
//!     println!("{} of {} stored", report.totals.stored, report.totals.requested);
//!     Ok(())
//! }
//! ```
//!
//! The [`guide`] explains a pipeline in a host, [how to write a source and a sink](guide::source_and_sink),
//! [what to do when a System ends](guide::systems), [what each setting is](guide::settings), [which one to change](guide::tuning),
//! [what is tried again](guide::failures), and what is not promised.
//!
//! Diesel and r2d2 are part of the interface: a [`Sink`] writes through a connection of Diesel. [`diesel`], [`diesel_migrations`] and
//! [`r2d2`] are those of this crate. A host that has Diesel among its own dependencies needs the same version.
//!
//! # Reading order
//!
//! [`ingest`] (the engine, with a reading order of its own), [`hn`] (a source and a sink), [`store`] (databases), then the binary
//! (`cli`), `serve` (a web server over a mirror), and `mock_api` and `test_util` for tests without a network.
//!
//! # Features
//!
//! `cli` (default) is the binary with its argument parser, logger and progress bar. `serve` is a web server over a mirror. `mock-api` is an HN-compatible API that makes
//! up its items from a seed. `test-util` adds a scripted HTTP server. Without features, the engine and Hacker News remain.

pub mod ingest;
pub mod guide;
pub mod hn;
pub mod store;

#[cfg(feature = "cli")]
pub mod cli;

#[cfg(feature = "serve")]
pub mod serve;

#[cfg(feature = "mock-api")]
pub mod mock_api;

#[cfg(any(feature = "serve", feature = "mock-api"))]
mod hn_api;

#[cfg(feature = "test-util")]
pub mod test_util;

pub use diesel;
pub use diesel_migrations;
pub use r2d2;

pub use ingest::{
    Builder, Client, Config, DecodeError, EventProgress, EventStream, EventStreamError,
    EventStreamItem, EventWatch, FailedId, Failure, FailureKind, GaveUp, HttpProxy, Id, IdOutcome,
    IdResult, LastMinute, Latency, Outcome, Outcomes, Pipeline, PipelineStopped, Priority,
    Progress, RefreshError, Report, Request, Response, Run, RunWatch, ServerEvent, Settled,
    ShutdownReport, Sink, Source, Start, StartError,
};

/// The README's examples are compiled too.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
