//! The engine over real sockets and real SQLite files, with a source and a sink of the tests' own.
#![allow(clippy::unwrap_used)]

mod adapting;
mod concurrency;
mod embedding;
mod endings;
mod faults;
mod hostile;
mod manners;
mod properties;
mod retries;
mod world;
