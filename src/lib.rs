//! Ingests a list of ids from an HTTP API into SQLite with a fixed pool of actors, losing nothing.
//!
//! ```text
//!  ids ──► Coordinator ──Fetch(id)──► Fetcher 1..N ──HTTP──► API
//!               ▲  │  ◄──what came of it──┘   (own timeout, own retries)
//!               │  └──Save(outcome)──► Storage ──one transaction a batch──► SQLite
//!               └───── committed ◄────────┘
//! ```
//!
//! The [`ingest`] engine knows no API and no table: a [`Source`] says where a record is and what it is, a [`Sink`] writes it.
//! [Hacker News](hn) ships with it. A pipeline is built with a [`Builder`], and each list of ids is a [`Run`] with a
//! [`Report`]:
//!
//! ```no_run
//! use hn_ingest::{Builder, Config, hn, store::sqlite};
//!
//! #[actix_rt::main]
//! async fn main() -> Result<(), Box<dyn std::error::Error>> {
//!     let pool = sqlite::open("hn.db".as_ref())?;
//!     hn::migrations::run(&mut *pool.get()?)?;
//!     let source = hn::HnSource::new(hn::PUBLIC_API)?;
//!     let pipeline = Builder::new(source, hn::HnSink::new())
//!         .pool(pool)
//!         .config(Config { workers: 8, ..Config::default() })
//!         .start()
//!         .await?;
//!     let report = pipeline.run([8863, 121003]).await?;
//!     println!("{} of {} stored", report.totals.stored, report.totals.requested);
//!     Ok(())
//! }
//! ```
//!
//! The [`guide`] says what a host does with it, which setting to turn ([`guide::tuning`]), and how to write a source and a sink
//! for another API ([`guide::source_and_sink`]).
//!
//! # Reading order
//!
//! [`ingest`] (what a pipeline is, then `coordinator`, `fetcher`, `storage`), [`hn`] (a source and a sink), [`store`]
//! (databases), `cli` (the binary), `mock_api` and `test_util` (for tests without network).
//!
//! # Features
//!
//! `cli` (default) is the binary with its argument parser, logger and progress bar. `mock-api` is an HN-compatible API made of
//! a seed. `test-util` adds a scripted HTTP server. Without any, the engine and Hacker News remain.
//!
//! # What it does not promise
//!
//! - The order in which records are stored is not that of the list.
//! - "Stored" means committed: it outlives a crash of the process. A power cut may take the last commits with it, as
//!   `synchronous=NORMAL` has it, yet never part of a transaction.
//! - A record is as the API gave it at that moment; nothing is watched.

pub mod ingest;
pub mod guide;
pub mod hn;
pub mod store;

#[cfg(feature = "cli")]
pub mod cli;

#[cfg(feature = "mock-api")]
pub mod mock_api;

#[cfg(feature = "test-util")]
pub mod test_util;

pub use ingest::{
    Builder, Client, Config, DecodeError, Failure, FailureKind, Id, Outcome, Pipeline,
    PipelineStopped, Progress, Report, Run, RunWatch, Settled, ShutdownReport, Sink, Source,
    StartError,
};

/// The README's examples are compiled too.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
