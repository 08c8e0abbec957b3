//! Reads `Retry-After`: how long the API asks for no requests. `limits/throttle.rs` and `limits/backoff.rs` obey it.

use std::time::{Duration, SystemTime};

use hyper::{HeaderMap, header::RETRY_AFTER};

/// Reads `Retry-After` of a 429 or 503, which is a number of seconds or a date (RFC 9110, 10.2.3). A date in the past is zero.
pub(super) fn retry_after(code: u16, headers: &HeaderMap, now: SystemTime) -> Option<Duration> {
    if !matches!(code, 429 | 503) {
        return None;
    }
    parse(headers.get(RETRY_AFTER)?.as_bytes(), now)
}

fn parse(value: &[u8], now: SystemTime) -> Option<Duration> {
    let value = str::from_utf8(value).ok()?.trim();
    if !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit()) {
        // A number that is too large for `u64` is longer than any wait that is obeyed.
        return Some(Duration::from_secs(value.parse().unwrap_or(u64::MAX)));
    }
    let date = httpdate::parse_http_date(value).ok()?;
    Some(date.duration_since(now).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn retry_after_is_read_as_seconds_or_as_a_date() {
        let now = httpdate::parse_http_date("Mon, 23 Nov 2026 10:00:00 GMT").expect("a date");
        let read = |value: &str| parse(value.as_bytes(), now).map(|wait| wait.as_secs());
        assert_eq!(read("120"), Some(120));
        assert_eq!(read("Mon, 23 Nov 2026 10:02:00 GMT"), Some(120));
        assert_eq!(
            read("Mon, 23 Nov 2026 09:00:00 GMT"),
            Some(0),
            "a date in the past"
        );
        assert_eq!(read("99999999999999999999999"), Some(u64::MAX));
        for nonsense in ["", "-1", "1.5", "soon"] {
            assert_eq!(read(nonsense), None, "{nonsense}");
        }
    }
}
