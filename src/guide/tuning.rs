//! Tuning: which setting to turn, and what to look at first.
//!
//! The defaults suit an API on the internet that bears sixteen requests at once. Change one thing at a time, and look at a
//! [`Report`](crate::Report)'s totals or at the [metrics](crate::ingest::metrics) in between.
//!
//! `hn-ingest tune` does so for the workers: it sweeps their number and says beyond which one more bring nothing.
//!
//! | what is seen | what it means | what to turn |
//! |---|---|---|
//! | `in_flight` at `workers`, the API quick | latency bounds it: items a second = workers / latency | more [`workers`](crate::Config::workers) |
//! | the same, and latency grows with `workers` | the API is the bound | fewer `workers` |
//! | many 503 | the API bears fewer at once | fewer `workers`, or [`adaptive`](crate::Config::adaptive), which finds how many |
//! | 429 among the failed attempts, long `ingest_wait_seconds` | the API bounds it | a [`rate`](crate::Config::rate) below its limit |
//! | `unsaved_peak` at two batches, `in_flight` below `workers` | the database is the bound | a larger [`batch`](crate::Config::batch), a faster disk |
//! | most batches lingered, few rows each | few items a second | nothing; a longer [`linger`](crate::Config::linger) for fewer commits |
//! | timeouts, and answers just below the deadline | the deadline is too short | a longer [`timeout`](crate::Config::timeout) |
//! | one core busy, `in_flight` below `workers` | the arbiter is the bound, at tens of thousands of items a second | a second pipeline on [its own arbiter](crate::Builder::own_arbiter) |
//! | handlers of the host slow down meanwhile | they share an arbiter with the pipeline | [`own_arbiter`](crate::Builder::own_arbiter) |
//!
//! ```
//! use std::time::Duration;
//! use hn_ingest::Config;
//!
//! // 100 ms away, 500 items a second wanted, at most 600 requests a second allowed.
//! let config = Config {
//!     workers: 50,
//!     rate: 600,
//!     timeout: Duration::from_secs(2),
//!     ..Config::default()
//! };
//! # assert_eq!(config.batch, 500);
//! ```
//!
//! # Memory
//!
//! What is held does not grow with the list: per fetcher the ids in its [mailbox](crate::Config::mailbox) and one body of at
//! most [`max_body`](crate::Config::max_body), and beyond these two batches' rows or 16 MiB of bodies that are not committed.
//!
//! # SQLite
//!
//! One connection writes at a time, whatever the pool's size; the others are readers, who do not wait for it in WAL mode. Two
//! pipelines into one file take turns. A host's own pool should set a busy timeout ([`sqlite::open`](crate::store::sqlite::open) sets 5 s), and
//! `synchronous=NORMAL` unless a power cut may not cost the last commits.
//!
//! # One arbiter or two
//!
//! An item costs the arbiter about 20 µs of work, in slices of far less. Beside 5,000 items a second on one arbiter, that is
//! a tenth of its time; a handler there waits for a slice now and then. An arbiter of its own costs a thread, and the host's
//! handlers wait for nothing but the processor.
