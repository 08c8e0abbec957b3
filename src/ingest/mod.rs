//! The engine: ids in, committed records out. It knows no API and no table.
//!
//! ```text
//!  ids ──► Coordinator ──Fetch(id)──► Fetcher 1..N ──HTTP──► API
//!               ▲  │  ◄──Fetched(id, answer)──┘   (own timeout, own retries)
//!               │  └──Save(outcome)──► Storage ──one transaction per batch──► SQLite
//!               └───── Committed ◄────────┘
//! ```
//!
//! # Reading order
//!
//! - `source` and `sink`: what an embedder writes. `config`: the settings.
//! - [`messages`]: what the actors say to each other. `actors`: the coordinator, the fetchers, Storage.
//! - `http`: one attempt, and the client that repeats it. `limits`: when the next request may start.
//! - `backlog`: the bound on what is fetched and not committed. `outcome`: what becomes of an id and of a run.
//! - `handle`: what a host holds. `stats`: what is counted. `builder`: how all of it is put together.

mod source;
mod sink;
pub mod config;
pub mod messages;
mod actors;
mod http;
mod limits;
mod backlog;
mod outcome;
mod handle;
mod stats;
mod builder;

pub(crate) use self::outcome::panics::panic_message;
pub use self::{
    actors::coordinator::Coordinator,
    builder::{Builder, StartError},
    config::Config,
    handle::{
        pipeline::Pipeline,
        run::{Run, RunWatch},
    },
    http::client::Client,
    messages::PipelineStopped,
    outcome::{
        answer::Outcome,
        failure::{Failure, FailureKind, UnknownKind},
        progress::{Latency, Progress},
        report::{FAILURES_LISTED, FailedId, Report},
        shutdown_report::ShutdownReport,
    },
    sink::{Settled, Sink},
    source::{DecodeError, Id, Source},
    stats::metrics,
};
