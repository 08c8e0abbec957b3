//! The engine over real sockets and real SQLite files, with a source and a sink of the tests.
#![allow(clippy::unwrap_used)]

#[path = "../support/mod.rs"]
mod support;
mod fixture;

// What becomes of an id:

mod retries;
mod requests;
mod refresh;
mod connecting;
mod proxies;
mod http_framing;
mod kept_connections;
mod malformed_answers;
mod panics_and_storage_faults;
mod panicking_ids;

// What a run and its handle promise:

mod cancel_and_shutdown;
mod silent_store;
mod side_by_side;
mod handle;
mod own_thread;
mod outcomes;
mod changes_at_run_time;
mod concurrency_bounds;
mod slow_decoding;
mod properties;

// How the API is treated:

mod backpressure_on_errors;
mod adaptive_limits;
mod shared_client;
mod event_streams;
mod announced_ids;
mod outages;
