//! The ages at which an item is read again.

use std::{fmt, str::FromStr, time::Duration};

use thiserror::Error;

const MINUTE: i64 = 60;
const HOUR: i64 = 60 * MINUTE;
pub(super) const DAY: i64 = 24 * HOUR;

/// An index computes the step of a row, and each step is a part of its expression.
const MAX_STEPS: usize = 64;

const MAX_AGE: i64 = 3650 * DAY;

/// Times up to the end of the year 9999 count, which no sum of a time and an age overflows. An item with another one is on no
/// step.
pub(super) const MAX_TIME: i64 = 253_402_300_799;

/// A text that is held back for some minutes.
pub(super) const DELAYED_TEXT: &str = "[delayed]";

/// How long a text that is held back is waited for.
pub(super) const DELAYED_WAIT: i64 = MINUTE;

/// An item that is older than this when it is read keeps such a text, so it is read as any other.
pub(super) const DELAYED_MAX_AGE: i64 = DAY;

/// The ages at which an item is read again, ascending.
///
/// An item that was read at some age is due when it reaches the next one. After the last it is left alone.
///
/// ```
/// use hn_ingest::hn::Ladder;
///
/// let ladder: Ladder = "1m,5m,1h".parse().unwrap();
/// assert_eq!(ladder.next_due(1_000, 1_010), Some(1_060));
/// assert_eq!(ladder.next_due(1_000, 1_060), Some(1_300));
/// assert_eq!(ladder.next_due(1_000, 5_000), None);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ladder(
    /// Seconds: ascending, and at least one.
    Vec<i64>,
);

/// Why a text is no ladder.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error(
    "{0}; allowed: up to 64 ascending ages of at most 10 years, in whole seconds, such as 1m,5m,1h,2days"
)]
pub struct BadLadder(String);

impl Ladder {
    /// When an item of this time is due that was read last at `read_at`. `None` if the last step is past, or if the item's time
    /// is before 1970 or after the year 9999.
    #[must_use]
    pub fn next_due(&self, time: i64, read_at: i64) -> Option<i64> {
        if !(0..=MAX_TIME).contains(&time) {
            return None;
        }
        let due_times = self.0.iter().map(|step| time + step);
        due_times.into_iter().find(|due| *due > read_at)
    }

    /// When an item is due whose text was held back when it was read.
    pub(super) fn next_due_if_delayed(&self, time: i64, read_at: i64) -> Option<i64> {
        let next_due = self.next_due(time, read_at);
        if !(0..=MAX_TIME).contains(&time) || read_at >= time + DELAYED_MAX_AGE {
            return next_due;
        }
        let retry = read_at.saturating_add(DELAYED_WAIT);
        Some(next_due.map_or(retry, |due| due.min(retry)))
    }

    /// The last step, in seconds.
    #[must_use]
    pub fn last_age(&self) -> i64 {
        self.0.last().copied().unwrap_or(0)
    }

    /// How many steps an item of this age has reached.
    #[must_use]
    pub fn step_of(&self, age_seconds: i64) -> usize {
        self.0.partition_point(|step| *step <= age_seconds)
    }

    /// The ages, in seconds.
    pub(super) fn steps(&self) -> &[i64] {
        &self.0
    }

    /// Ages in seconds as a ladder.
    pub(super) fn new(steps: Vec<i64>) -> Result<Self, BadLadder> {
        if steps.is_empty() {
            return Err(BadLadder("it has no step".to_owned()));
        }
        if steps.len() > MAX_STEPS {
            return Err(BadLadder(format!("it has {} steps", steps.len())));
        }
        for &step in &steps {
            if !(1..=MAX_AGE).contains(&step) {
                return Err(BadLadder(format!("it has the step {}", Age(step))));
            }
        }
        for pair in steps.windows(2) {
            if pair[0] >= pair[1] {
                let (before, after) = (Age(pair[0]), Age(pair[1]));
                return Err(BadLadder(format!("{after} comes after {before}")));
            }
        }
        Ok(Self(steps))
    }
}

impl Default for Ladder {
    fn default() -> Self {
        Self(vec![
            MINUTE,
            5 * MINUTE,
            15 * MINUTE,
            HOUR,
            3 * HOUR,
            12 * HOUR,
            DAY,
            2 * DAY,
            7 * DAY,
            15 * DAY,
        ])
    }
}

impl FromStr for Ladder {
    type Err = BadLadder;

    fn from_str(text: &str) -> Result<Self, BadLadder> {
        if text.trim().is_empty() {
            return Self::new(Vec::new());
        }
        let steps = text.split(',').map(|step| {
            let step = step.trim();
            let age = humantime::parse_duration(step)
                .map_err(|error| BadLadder(format!("`{step}` is no age: {error}")))?;
            if age != Duration::from_secs(age.as_secs()) {
                return Err(BadLadder(format!("`{step}` is no whole number of seconds")));
            }
            // What is too long for the type is too long for the ladder.
            Ok(i64::try_from(age.as_secs()).unwrap_or(i64::MAX))
        });
        Self::new(steps.collect::<Result<_, _>>()?)
    }
}

impl fmt::Display for Ladder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, step) in self.0.iter().enumerate() {
            if number > 0 {
                f.write_str(",")?;
            }
            Age(*step).fmt(f)?;
        }
        Ok(())
    }
}

/// Seconds in the largest unit that has a whole number of them.
struct Age(i64);

impl fmt::Display for Age {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let units = [(DAY, "d"), (HOUR, "h"), (MINUTE, "m")];
        let whole = |(unit, _): &&(i64, &str)| self.0 > 0 && self.0 % unit == 0;
        match units.iter().find(whole) {
            Some((unit, name)) => write!(f, "{}{name}", self.0 / unit),
            None => write!(f, "{}s", self.0),
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_default_ladder_has_ten_readings_of_a_fortnight() {
        let text = "1m,5m,15m,1h,3h,12h,1d,2d,7d,15d";
        assert_eq!(Ladder::default().to_string(), text);
        assert_eq!(text.parse(), Ok(Ladder::default()));
        let humantime = " 60s, 5min ,15m,1hour,3h,12h,24h,48h,1week,15days";
        assert_eq!(humantime.parse(), Ok(Ladder::default()));
        assert_eq!(Ladder::default().last_age(), 1_296_000);
    }

    #[test]
    fn what_is_no_ladder_is_refused_with_what_is_wrong() {
        let many: Vec<_> = (1..=65).map(|step| format!("{step}s")).collect();
        let refused = [
            ("", "it has no step"),
            ("  ", "it has no step"),
            ("1m,", "`` is no age"),
            ("0s", "it has the step 0s"),
            ("1m,1m", "1m comes after 1m"),
            ("1h,59m", "59m comes after 1h"),
            ("1500ms", "`1500ms` is no whole number of seconds"),
            ("-1m", "`-1m` is no age"),
            ("5", "`5` is no age"),
            ("1m,11years", "it has the step"),
            ("99999999999999999999s", "is no age"),
            ("18446744073709551615s", "it has the step"),
            (&many.join(","), "it has 65 steps"),
        ];
        for (text, reason) in refused {
            let error = text.parse::<Ladder>().unwrap_err().to_string();
            assert!(
                error.starts_with(reason) || error.contains(reason),
                "{text}: {error}"
            );
            assert!(error.contains("allowed: up to 64"), "{error}");
        }
        assert!(many[1..].join(",").parse::<Ladder>().is_ok());
        assert!("3650days".parse::<Ladder>().is_ok());
    }

    #[test]
    fn an_item_is_due_at_the_next_step_above_the_age_at_which_it_was_read() {
        let ladder = Ladder::default();
        let (time, day) = (1_700_000_000, DAY);
        assert_eq!(ladder.next_due(time, time), Some(time + 60));
        assert_eq!(ladder.next_due(time, time + 59), Some(time + 60));
        assert_eq!(ladder.next_due(time, time + 60), Some(time + 300));
        assert_eq!(
            ladder.next_due(time, time + 15 * day - 1),
            Some(time + 15 * day)
        );
        assert_eq!(ladder.next_due(time, time + 15 * day), None);
        // A time that is still to come, as another clock may say.
        assert_eq!(ladder.next_due(time, time - 90), Some(time + 60));
        for time in [i64::MIN, -1, MAX_TIME + 1, i64::MAX] {
            for read_at in [i64::MIN, 0, time, i64::MAX] {
                assert_eq!(ladder.next_due(time, read_at), None);
                assert_eq!(ladder.next_due_if_delayed(time, read_at), None);
            }
        }
        assert_eq!(ladder.next_due(0, i64::MIN), Some(60));
    }

    #[test]
    fn a_text_that_is_held_back_is_read_again_after_a_minute_for_a_day() {
        let (short, ladder) = ("5s".parse::<Ladder>().unwrap(), Ladder::default());
        let time = 1_700_000_000;
        assert_eq!(ladder.next_due_if_delayed(time, time + 30), Some(time + 60));
        assert_eq!(
            ladder.next_due_if_delayed(time, time + 70),
            Some(time + 130)
        );
        assert_eq!(short.next_due_if_delayed(time, time + 70), Some(time + 130));
        assert_eq!(short.next_due_if_delayed(time, time + DAY), None);
        let next = ladder.next_due_if_delayed(time, time + DAY);
        assert_eq!(next, Some(time + 2 * DAY));
    }

    #[test]
    fn the_step_of_an_age_counts_the_steps_that_it_has_reached() {
        let ladder: Ladder = "1m,1h".parse().unwrap();
        let steps = [i64::MIN, -1, 0, 59, 60, 3599, 3600, i64::MAX].map(|age| ladder.step_of(age));
        assert_eq!(steps, [0, 0, 0, 0, 1, 1, 2, 2]);
    }

    proptest! {
        #[test]
        fn a_ladder_is_the_same_after_it_was_written_and_read(
            steps in prop::collection::btree_set(1..=MAX_AGE, 1..=MAX_STEPS)
        ) {
            let ladder = Ladder::new(steps.into_iter().collect()).unwrap();
            prop_assert_eq!(ladder.to_string().parse(), Ok(ladder));
        }
    }
}
