//! HTTP: a client that requests a URL until there is an answer, and the attempts that it makes.
//!
//! hyper implements HTTP/1.1. This room adds the rest: connecting, deadlines, permits, a connection pool, bounds on bodies,
//! redirects, and what an answer means for its id.

pub(crate) mod client;
mod get;
pub(crate) mod fetch;
mod attempt;
pub(crate) mod refresh;
mod tally;
mod target;
mod answer_head;
mod retry_after;
mod body;
mod body_arena;
mod pool;
mod connection;
mod bad_head;
mod connect;
pub(crate) mod events;
pub(crate) mod error;

/// The name of this program in requests.
const USER_AGENT: &str = concat!("hn-ingest/", env!("CARGO_PKG_VERSION"));
