//! The engine: ids in, committed records out. It knows no API and no table.
//!
//! # Reading order
//!
//! `messages` (what the actors say to each other), `actors` (coordinator, fetcher, storage), `http` (one attempt, the client),
//! `limits` (when the next request may start), `handle` (what a host holds), `builder` (how the actors are wired).

pub mod config;

mod source;

mod sink;

pub mod messages;

mod backlog;

mod actors;

mod http;

mod limits;

mod handle;

mod outcome;

mod stats;

mod builder;

pub(crate) use self::outcome::panic_message;
pub use self::{
    actors::coordinator::{Coordinator, drain::ShutdownReport},
    builder::{Builder, StartError},
    config::Config,
    handle::{
        pipeline::Pipeline,
        run::{PipelineStopped, Run, RunWatch},
    },
    http::Client,
    outcome::{
        Failure, FailureKind, Outcome, UnknownKind,
        report::{FAILURES_LISTED, FailedId, Report},
    },
    sink::{Settled, Sink},
    source::{DecodeError, Id, Source},
    stats::{latency::Latency, metrics, recorder::Progress},
};
