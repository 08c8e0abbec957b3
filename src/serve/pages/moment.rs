//! Times on pages: how long ago, with the exact time as a tooltip.

use crate::serve::wording::iso_seconds;

const MINUTE: i64 = 60;
const HOUR: i64 = 60 * MINUTE;
const DAY: i64 = 24 * HOUR;

/// From this age on, the date is shown.
const OLD: i64 = 60 * DAY;

/// A time in Unix seconds as HTML, seen from `now`.
pub(super) fn when(time: i64, now: i64) -> String {
    let Some(exact) = iso_seconds(time) else {
        return format!("at {time}");
    };
    let shown = match now.saturating_sub(time) {
        // Clocks differ a little.
        -60..MINUTE => "moments ago".to_owned(),
        age @ MINUTE..HOUR => ago(age / MINUTE, "minute"),
        age @ HOUR..DAY => ago(age / HOUR, "hour"),
        age @ DAY..OLD => ago(age / DAY, "day"),
        _ => exact[..10].to_owned(),
    };
    format!("<time datetime=\"{exact}\" title=\"{exact}\">{shown}</time>")
}

fn ago(count: i64, unit: &str) -> String {
    let s = if count == 1 { "" } else { "s" };
    format!("{count} {unit}{s} ago")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_ages_and_later_dates_and_no_value_breaks_them() {
        let now = 1_764_140_000;
        for (time, shown) in [
            (now, "moments ago"),
            (now + 30, "moments ago"),
            (now - 60, "1 minute ago"),
            (now - 3 * HOUR - 5, "3 hours ago"),
            (now - 59 * DAY, "59 days ago"),
            (now - 60 * DAY, "2025-09-27"),
            (now + DAY, "2025-11-27"),
            (0, "1970-01-01"),
        ] {
            let html = when(time, now);
            assert!(html.contains(&format!(">{shown}</time>")), "{html}");
        }
        for time in [-1, i64::MIN, i64::MAX, 253_402_300_800] {
            assert_eq!(when(time, now), format!("at {time}"));
        }
    }
}
