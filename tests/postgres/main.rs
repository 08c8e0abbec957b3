//! The promises of the program and of the engine over PostgreSQL, tested with a real server that each test starts for itself.
#![allow(clippy::unwrap_used)]

// Not all of it is used here.
#[allow(dead_code, unused_imports)]
#[path = "../cli/common/mod.rs"]
mod common;
mod server;
mod proxy;

// A user's view.
mod commands;
mod same_rows;
mod refresh;
mod history;
mod copy;
mod search;
mod serve;
mod passwords;
mod refused;

// What may happen meanwhile.
mod restarts;
mod cut_connections;
mod several_writers;
mod lost_processes;
mod disk_full;
mod silent;
mod indexes;

// An embedder's view.
mod embedder;
