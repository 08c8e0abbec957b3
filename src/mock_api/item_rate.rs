//! How many items a live API adds.

use std::{fmt, str::FromStr};

/// How many items are added in a time, such as five per second. It is parsed from `5/s`, `90/min` or `20/h`; `5` is `5/s`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ItemRate(f64);

impl ItemRate {
    /// The most items per second.
    pub const LARGEST: f64 = 10_000.0;
    /// The fewest items per second: one in a day.
    const SMALLEST: f64 = 1.0 / 86_400.0;

    /// Items per second.
    ///
    /// # Errors
    ///
    /// It is less than one in a day, or more than [`ItemRate::LARGEST`].
    pub fn per_second(items: f64) -> Result<Self, String> {
        // A day's items divided by a day may be a little less than the smallest rate.
        if (Self::SMALLEST * 0.999..=Self::LARGEST).contains(&items) {
            return Ok(ItemRate(items));
        }
        Err(format!(
            "{items} items per second are not from 1/d to {}/s",
            Self::LARGEST
        ))
    }

    /// The time from one item to the next, in microseconds.
    pub(super) fn interval(self) -> i64 {
        (1_000_000.0 / self.0).round() as i64
    }
}

impl FromStr for ItemRate {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (number, unit) = text.split_once('/').unwrap_or((text, "s"));
        let seconds = match unit.trim() {
            "s" => 1.0,
            "m" | "min" => 60.0,
            "h" => 3_600.0,
            "d" => 86_400.0,
            _ => f64::NAN,
        };
        let number: f64 = number.trim().parse().unwrap_or(f64::NAN);
        Self::per_second(number / seconds).map_err(|_| {
            format!("\"{text}\" is not a rate from 1/d to 10000/s, such as 5/s or 90/min")
        })
    }
}

impl fmt::Display for ItemRate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/s", self.0)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_is_a_number_of_items_per_unit_of_time() {
        for (text, interval) in [
            ("5/s", 200_000),
            ("5", 200_000),
            ("0.5/s", 2_000_000),
            ("30/min", 2_000_000),
            (" 60 / m ", 1_000_000),
            ("20/h", 180_000_000),
            ("1/d", 86_400_000_000),
            ("10000/s", 100),
        ] {
            let rate: ItemRate = text.parse().unwrap();
            assert_eq!(rate.interval(), interval, "{text}");
        }
        for text in [
            "", "/s", "5/", "5/y", "-1/s", "0/s", "nan", "inf/s", "1e9/s", "0.5/d",
        ] {
            assert!(text.parse::<ItemRate>().is_err(), "{text}");
        }
    }
}
