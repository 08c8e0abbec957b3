//! The engine: fetches a record for each id and commits it to a database. It knows no API and no table.
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
//! - `source` (with `request` and `response`) and `sink`: the traits that an embedder implements. `config`: the settings.
//! - [`messages`]: the messages between the actors. `actors`: the coordinator, the fetchers and Storage.
//! - `http`: the client, and the attempts that it makes. `limits`: when the next request may start.
//! - `backlog`: the bound on records that are fetched and not committed. `announcements`: ids that a server announces.
//! - `outcome`: how an id and a run end.
//! - `handle`: what a host holds. `stats`: counters, latency and metrics. `wiring`: puts all of it together. `builder`:
//!   what a host calls to start it.

mod source;
mod request;
mod response;
mod sink;
mod priority;
pub mod config;
pub mod messages;
mod actors;
mod http;
mod limits;
mod backlog;
mod announcements;
mod outcome;
mod handle;
mod stats;
mod wiring;
mod builder;

#[cfg(feature = "cli")]
pub(crate) use self::outcome::panics::panic_message;
pub use self::{
    actors::coordinator::Coordinator,
    builder::{Builder, StartError},
    config::{Config, HttpProxy},
    handle::{
        event_watch::{EventProgress, EventWatch},
        outcomes::Outcomes,
        pipeline::Pipeline,
        run::{Run, RunWatch},
    },
    http::{
        client::Client,
        events::{
            parser::ServerEvent,
            stream::{EventStream, EventStreamError, EventStreamItem},
        },
    },
    messages::{PipelineStopped, Start},
    outcome::{
        answer::Outcome,
        failure::{Failure, FailureKind, UnknownKind},
        id_outcome::{IdOutcome, IdResult},
        progress::{LastMinute, Latency, Progress},
        report::{FAILURES_LISTED, FailedId, GaveUp, Report},
        shutdown_report::ShutdownReport,
    },
    priority::Priority,
    request::Request,
    response::Response,
    sink::{Settled, Sink},
    source::{DecodeError, Id, RefreshError, Source},
    stats::metrics,
};
