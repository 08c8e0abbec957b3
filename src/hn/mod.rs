//! All that says "Hacker News": where its items come from, what they are, and the tables that they go to.

pub mod coverage;
pub mod failures;
pub mod indexes;
pub mod item;
pub mod lists;
pub mod migrations;
pub mod plan;
pub mod runs;
pub mod schema;
mod sink;
mod source;
pub mod status;
mod upsert;
pub mod verify;

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
