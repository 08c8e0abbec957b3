//! Tuning: which setting to change, and what to look at first.
//!
//! In the library, the settings are the fields of [`Config`](crate::Config), and the numbers to look at are in
//! [`Progress`](crate::Progress), in a [`Report`](crate::Report)'s totals and in the [metrics](crate::ingest::metrics):
//!
//! ```
//! use std::time::Duration;
//! use hn_ingest::Config;
//!
//! // The API is 100 ms away, 500 items per second are wanted, and 600 requests per second are allowed.
//! let config = Config {
//!     workers: 50,
//!     rate: 600,
//!     timeout: Duration::from_secs(2),
//!     ..Config::default()
//! };
//! # assert_eq!(config.batch, 500);
//! ```
//!
#![doc = include_str!("../../docs/tuning.md")]
//!
//! A host's own pool should set a busy timeout (the pool of [`sqlite::open`](crate::store::sqlite::open) waits for 1 s), and
//! `synchronous=NORMAL` unless a power cut may not cost the last commits.
//!
//! # One arbiter or two
//!
//! An item costs the arbiter about 20 µs of work, in much shorter slices. Beside 5,000 items per second on the same arbiter, that is
//! a tenth of its time, and a handler there waits for a slice now and then. If handlers of the host become slow, give the pipeline
//! [an arbiter of its own](crate::Builder::own_thread). That costs a thread, and the handlers then wait for nothing but the
//! processor.
//!
//! # A stream of ids that stays open
//!
//! [`Pipeline::run_stream`](crate::Pipeline::run_stream) takes a stream that goes on for as long as the host likes. It keeps other
//! runs of its pipeline waiting, so use a second pipeline for those. [`linger`](crate::Config::linger) is how long a single id may
//! wait for its commit.
