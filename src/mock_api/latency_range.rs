//! How long answers take.

use std::{fmt, str::FromStr, time::Duration};

/// How long an answer takes. Each wait is drawn evenly between two bounds, both included.
///
/// It is parsed from `80ms..200ms`, or from `80ms` if every wait is the same. The units are those of humantime (`ms`, `s`,
/// …).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LatencyRange {
    /// The shortest wait.
    pub min: Duration,
    /// The longest wait. It must not be shorter than `min`.
    pub max: Duration,
}

impl LatencyRange {
    pub(super) fn draw(self) -> Duration {
        let micros = |d: Duration| u64::try_from(d.as_micros()).unwrap_or(u64::MAX);
        let (min, max) = (micros(self.min), micros(self.max));
        Duration::from_micros(fastrand::u64(min..=max.max(min)))
    }
}

impl FromStr for LatencyRange {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (min, max) = text.split_once("..").unwrap_or((text, text));
        let parse = |part: &str| {
            humantime::parse_duration(part.trim()).map_err(|e| {
                format!(
                    "\"{part}\" is not a duration ({e}): write 80ms, or 80ms..200ms for a range"
                )
            })
        };
        let (min, max) = (parse(min)?, parse(max)?);
        if min > max {
            return Err(format!(
                "\"{text}\" ends before it begins: write the shorter wait first, as in 80ms..200ms"
            ));
        }
        Ok(LatencyRange { min, max })
    }
}

impl fmt::Display for LatencyRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", humantime::format_duration(self.min))?;
        if self.max > self.min {
            write!(f, "..{}", humantime::format_duration(self.max))?;
        }
        Ok(())
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_latency_is_one_wait_or_a_range_and_is_printed_as_it_was_written() {
        for text in ["80ms", "80ms..200ms", "1s..1m 30s", "0s"] {
            assert_eq!(
                text.parse::<LatencyRange>().map(|l| l.to_string()),
                Ok(text.to_owned())
            );
        }
        let range: LatencyRange = " 80ms .. 200ms ".parse().unwrap();
        assert_eq!(range.max, Duration::from_millis(200));
        assert!((0..100).all(|_| (range.min..=range.max).contains(&range.draw())));
    }

    #[test]
    fn the_error_for_a_bad_latency_shows_a_right_one() {
        for text in ["80", "", "..", "80ms..", "fast", "80ms..200", "-1s"] {
            let error = text.parse::<LatencyRange>().unwrap_err();
            assert!(
                error.contains("not a duration") && error.contains("80ms..200ms"),
                "{text}: {error}"
            );
        }
        assert!(
            "200ms..80ms"
                .parse::<LatencyRange>()
                .unwrap_err()
                .contains("ends before it begins")
        );
    }
}
