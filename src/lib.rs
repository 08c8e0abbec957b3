//! Ingests a list of ids from an HTTP API into SQLite with a fixed pool of actors, losing nothing.

#[cfg(feature = "test-util")]
pub mod test_util;

#[cfg(feature = "mock-api")]
pub mod mock_api;

pub mod hn;

pub mod db;
pub mod ingest;
