//! Times as the API writes them.

use std::time::{Duration, UNIX_EPOCH};

/// The last second of the year 9999.
const LAST: u64 = 253_402_300_799;

/// `2006-10-09T18:21:51Z`. `None` for a time that no date can be written for.
pub(super) fn iso_seconds(unix_seconds: i64) -> Option<String> {
    let seconds = u64::try_from(unix_seconds).ok().filter(|at| *at <= LAST)?;
    let time = UNIX_EPOCH + Duration::from_secs(seconds);
    Some(humantime::format_rfc3339_seconds(time).to_string())
}

/// `2006-10-09T18:21:51.000Z`, as in the threads of the original.
pub(super) fn iso_millis(unix_seconds: i64) -> Option<String> {
    let seconds = u64::try_from(unix_seconds).ok().filter(|at| *at <= LAST)?;
    let time = UNIX_EPOCH + Duration::from_secs(seconds);
    Some(humantime::format_rfc3339_millis(time).to_string())
}
