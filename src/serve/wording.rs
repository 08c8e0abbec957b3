//! Numbers and times as pages and reports write them.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// The last second of the year 9999.
const LAST: u64 = 253_402_300_799;

/// A number with a comma between thousands, such as `1,234,567`.
pub(crate) fn grouped(number: impl Into<i128>) -> String {
    let number: i128 = number.into();
    let digits = number.unsigned_abs().to_string();
    let mut text = String::from(if number < 0 { "-" } else { "" });
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// `2006-10-09T18:21:51Z`. `None` for a time before 1970 or after the year 9999.
pub(crate) fn iso_seconds(unix_seconds: i64) -> Option<String> {
    let time = time(unix_seconds)?;
    Some(humantime::format_rfc3339_seconds(time).to_string())
}

/// `2006-10-09T18:21:51.000Z`, as [`iso_seconds`].
pub(super) fn iso_millis(unix_seconds: i64) -> Option<String> {
    let time = time(unix_seconds)?;
    Some(humantime::format_rfc3339_millis(time).to_string())
}

fn time(unix_seconds: i64) -> Option<SystemTime> {
    let seconds = u64::try_from(unix_seconds).ok()?;
    (seconds <= LAST).then(|| UNIX_EPOCH + Duration::from_secs(seconds))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thousands_are_separated() {
        for (number, text) in [
            (0, "0"),
            (999, "999"),
            (1000, "1,000"),
            (20_000, "20,000"),
            (123_456, "123,456"),
            (1_234_567, "1,234,567"),
            (-1_234, "-1,234"),
        ] {
            assert_eq!(grouped(number), text);
        }
    }
}
