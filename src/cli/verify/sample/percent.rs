//! Shares as people read and write them: in percent.

use std::fmt;

/// A share as it was given, such as `1%`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Percent {
    /// From 0 to 1.
    pub(super) share: f64,
    percent: f64,
}

/// What a share may be.
pub(super) const ALLOWED: &str = "a share in percent, such as 1% or 0.5%, from 0% to 100%";

impl Percent {
    pub(super) fn parse(text: &str) -> Option<Self> {
        let number = text.trim().strip_suffix('%')?.trim_end();
        let is_plain = number
            .bytes()
            .all(|byte| byte.is_ascii_digit() || byte == b'.');
        let percent: f64 = number.parse().ok().filter(|_| is_plain)?;
        (percent <= 100.0).then_some(Self {
            share: percent / 100.0,
            percent,
        })
    }
}

impl fmt::Display for Percent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}%", self.percent)
    }
}

/// A share to two digits, such as `0.40 %`.
pub(super) fn rounded(share: f64) -> String {
    in_percent(share, f64::round)
}

/// A share to two digits that is not below it.
pub(super) fn rounded_up(share: f64) -> String {
    in_percent(share, |number| (number - 1e-9).ceil())
}

fn in_percent(share: f64, round: fn(f64) -> f64) -> String {
    let percent = share * 100.0;
    if percent <= 0.0 {
        return "0 %".to_owned();
    }
    let decimals = (1.0 - percent.log10().floor()).clamp(0.0, 12.0) as usize;
    let factor = 10_f64.powi(decimals as i32);
    format!("{:.decimals$} %", round(percent * factor) / factor)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_are_written_in_percent() {
        for (text, share) in [
            ("1%", 0.01),
            ("0.5%", 0.005),
            ("100%", 1.0),
            ("0%", 0.0),
            (" 2 % ", 0.02),
            (".5%", 0.005),
        ] {
            assert_eq!(
                Percent::parse(text).map(|percent| percent.share),
                Some(share),
                "{text}"
            );
        }
        for text in [
            "", "%", "1", "0.01", "-1%", "101%", "nan%", "inf%", "1e1%", "1%%", "+1%", "1.2.3%",
        ] {
            assert_eq!(Percent::parse(text), None, "{text}");
        }
        assert_eq!(
            Percent::parse("0.50%").map(|percent| percent.to_string()),
            Some("0.5%".to_owned())
        );
    }

    #[test]
    fn bounds_are_rounded_up_and_shares_to_the_nearest() {
        for (share, nearest, above) in [
            (0.0, "0 %", "0 %"),
            (0.004, "0.40 %", "0.40 %"),
            (0.029_513, "3.0 %", "3.0 %"),
            (0.029_213, "2.9 %", "3.0 %"),
            (0.000_002_14, "0.00021 %", "0.00022 %"),
            (0.258_9, "26 %", "26 %"),
            (0.251, "25 %", "26 %"),
            (0.999_9, "100 %", "100 %"),
            (1.0, "100 %", "100 %"),
        ] {
            assert_eq!(
                (rounded(share).as_str(), rounded_up(share).as_str()),
                (nearest, above),
                "{share}"
            );
        }
    }
}
