//! The binary through its command line: real processes, sockets and SQLite files.
#![cfg(feature = "cli")]
#![allow(clippy::unwrap_used)]

mod common;
mod faults;
mod process;
mod refusals;
mod runs;
mod settings;
