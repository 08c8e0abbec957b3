//! Times as the tables hold them.

use std::time::{SystemTime, UNIX_EPOCH};

/// This moment in Unix seconds, as the tables' `…_at` columns hold it.
pub(crate) fn now() -> i64 {
    unix_seconds(SystemTime::now())
}

/// A time in Unix seconds. A time before 1970 is 0.
pub(super) fn unix_seconds(time: SystemTime) -> i64 {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_secs()).unwrap_or(i64::MAX)
}
