//! The promises of the mirror, tested with the real binary on real database files: no settled id is requested again, no other id
//! is skipped, and `verify` finds what is wrong.
#![cfg(feature = "cli")]
#![allow(clippy::unwrap_used)]

mod fixture;

// Fetching.
mod backfill;
mod shared_work;
mod follow;
mod retry;
mod history;
mod refused;

// Looking at a database, and mending it.
mod status;
mod search;
mod search_api;
mod verify;
mod repair;
mod sample;
mod copy;
