//! The binary through its command line: real processes, sockets and SQLite files.
#![cfg(feature = "cli")]
#![allow(clippy::unwrap_used)]

mod common;
mod crash;
mod faults;
mod https;
mod metrics;
mod mock_api;
mod process;
mod refusals;
mod reports;
mod runs;
mod settings;
mod soak;
mod stdin;
mod tune;
