//! Everything that knows Hacker News: its API, its items, and the tables that they go to.

pub mod item;

mod source;

pub mod schema;

pub mod migrations;

mod sink;

mod upsert;

pub mod coverage;

pub mod plan;

pub mod lists;

pub mod failures;

pub mod runs;

pub mod top_items;

pub mod status;

pub mod verify;

pub mod indexes;

use std::time::{SystemTime, UNIX_EPOCH};

pub use self::{
    item::Item,
    lists::List,
    sink::HnSink,
    source::{BadBaseUrl, HnSource},
};

/// The public API's base URL (github HackerNews/API).
pub const PUBLIC_API: &str = "https://hacker-news.firebaseio.com/v0";

/// This moment in Unix seconds, as the tables' `…_at` columns hold it.
pub fn now() -> i64 {
    unix_seconds(SystemTime::now())
}

/// A time in Unix seconds. A time before 1970 is 0.
fn unix_seconds(time: SystemTime) -> i64 {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_secs()).unwrap_or(i64::MAX)
}
