//! The binary through its command line: real processes, sockets and SQLite files.
#![cfg(feature = "cli")]
#![allow(clippy::unwrap_used)]

mod common;

// Fetching and its reports.
mod lists_and_items;
mod ids_on_stdin;
mod text_report;
mod item_trees;
mod users;
mod terminal;
mod flags_and_variables;
mod help;
mod refused_input;

// Database files that are not as usual.
mod foreign_databases;
mod locked_databases;
mod read_only_mirrors;

// What goes wrong.
mod api_faults;
mod https_trust;
mod proxies;
mod signals_and_streams;
mod machine_limits;
mod killed_runs;
mod flat_memory;

// Other commands and servers.
mod metrics;
mod watched_services;
mod following;
mod mock_api;
mod serve;
mod tune;
