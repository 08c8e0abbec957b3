//! Reads `Retry-After`: how long the API asks for no requests. `limits/throttle.rs` holds all requests back for that
//! time, `limits/backoff.rs` the id, and `limits/cool_down.rs` says when it is too long to wait for.

use std::time::{Duration, SystemTime};

use hyper::{
    HeaderMap,
    header::{DATE, RETRY_AFTER},
};

/// A longer time counts as this one, so that adding it to a time of today cannot overflow.
const LONGEST: Duration = Duration::from_secs(365 * 24 * 60 * 60);

/// Reads `Retry-After` of a 429 or 503, which is a number of seconds or a date (RFC 9110, 10.2.3). A date in the past is zero.
///
/// A date is compared with the `Date` of the same answer, because this machine's clock and the server's may differ. `now` is used
/// if the answer has none.
pub(super) fn retry_after(code: u16, headers: &HeaderMap, now: SystemTime) -> Option<Duration> {
    if !matches!(code, 429 | 503) {
        return None;
    }
    let date = headers.get(DATE).and_then(|date| date.to_str().ok());
    let sent_at = date.and_then(|date| httpdate::parse_http_date(date).ok());
    parse(headers.get(RETRY_AFTER)?.as_bytes(), sent_at.unwrap_or(now))
}

fn parse(value: &[u8], now: SystemTime) -> Option<Duration> {
    let value = str::from_utf8(value).ok()?.trim();
    if !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit()) {
        // The number may be too large for `u64`.
        let seconds = value.parse().unwrap_or(u64::MAX);
        return Some(Duration::from_secs(seconds).min(LONGEST));
    }
    let date = httpdate::parse_http_date(value).ok()?;
    Some(date.duration_since(now).unwrap_or_default().min(LONGEST))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_date_is_compared_with_the_date_of_the_answer() {
        let mut headers = HeaderMap::new();
        let now = SystemTime::now();
        let in_an_hour = "Mon, 23 Nov 2026 11:00:00 GMT".parse().expect("a value");
        headers.insert(RETRY_AFTER, in_an_hour);
        let sent_at = "Mon, 23 Nov 2026 10:00:00 GMT".parse().expect("a value");
        headers.insert(DATE, sent_at);
        let hour = Duration::from_secs(3600);
        assert_eq!(retry_after(429, &headers, now), Some(hour));
        assert_eq!(retry_after(503, &headers, now + 9 * hour), Some(hour));
        assert_eq!(retry_after(500, &headers, now), None);
    }

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
        assert_eq!(read("99999999999999999999999"), Some(LONGEST.as_secs()));
        for nonsense in ["", "-1", "1.5", "soon"] {
            assert_eq!(read(nonsense), None, "{nonsense}");
        }
    }
}
