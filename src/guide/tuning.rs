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
//! # The host's event loop or a thread of its own
//!
//! An item costs the event loop about 20 µs of work, in much shorter slices. With 5,000 items per second on the host's event
//! loop, that is a tenth of its time, and a handler there waits for a slice now and then. If handlers of the host become slow,
//! give the pipeline [a thread of its own](crate::Builder::own_thread). The handlers then wait for nothing but the processor.
//!
//! # A stream of ids that stays open
//!
//! See [streams](super::streams): `linger` is how long a single record may wait for its commit.
