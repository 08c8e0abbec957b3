//! Every setting of the engine: its flag, its variable, its default, its range, what it means. Declared once, in [`SETTINGS`].
//!
//! The binary makes its flags of this table, and [`Config::from_env`] reads the variables of it.

use std::{env, fmt, ops::RangeInclusive, time::Duration};

use bytesize::ByteSize;
use thiserror::Error;

/// The settings of a pipeline. [`Config::default`] holds the defaults, [`SETTINGS`] the ranges, which a pipeline checks when it
/// starts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// Fetcher actors: the most requests that are in flight at once.
    pub workers: usize,
    /// Ids that may wait at a fetcher behind the one in flight.
    pub mailbox: usize,
    /// The deadline of one attempt, from connecting to the last byte.
    pub timeout: Duration,
    /// Attempts per id, the first included.
    pub attempts: u32,
    /// The wait before the second attempt; it doubles, with full jitter.
    pub backoff: Duration,
    /// The longest of these waits.
    pub backoff_max: Duration,
    /// Requests a second over all fetchers, retries included; 0 is no limit.
    pub rate: u32,
    /// Whether fewer fetchers work, or requests start no faster, where the API bears no more; `workers` and `rate` stay the most.
    pub adaptive: bool,
    /// The most rows of one transaction.
    pub batch: usize,
    /// How long rows may wait that are too few for a batch: under a hundred, or under `batch`.
    pub linger: Duration,
    /// Bodies of more bytes than this fail their id.
    pub max_body: u64,
    /// How long requests in flight may go on when a run is cancelled.
    pub drain: Duration,
    /// How long an API that gives nothing but connect errors, timeouts and 5xx is waited for before the run ends.
    pub outage_patience: Duration,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            workers: 16,
            mailbox: 1,
            timeout: Duration::from_secs(5),
            attempts: 4,
            backoff: Duration::from_secs(1),
            backoff_max: Duration::from_secs(30),
            rate: 0,
            adaptive: false,
            batch: 500,
            linger: Duration::from_millis(100),
            max_body: 8 * 1024 * 1024,
            drain: Duration::from_secs(5),
            outage_patience: Duration::from_secs(600),
        }
    }
}

impl Config {
    /// Whether every setting is within its range, as [`SETTINGS`] tells them.
    ///
    /// # Errors
    /// The first that is not.
    pub fn check(&self) -> Result<(), BadSetting> {
        let mut scratch = Self::default();
        SETTINGS.iter().try_for_each(|setting| {
            setting.apply(&mut scratch, setting.flag, &(setting.show)(self))
        })
    }

    /// The settings that the environment's `INGEST_…` variables give, the rest being defaults.
    ///
    /// # Errors
    /// The first variable with a bad value, with what is allowed.
    pub fn from_env() -> Result<Self, BadSetting> {
        let mut config = Self::default();
        for setting in SETTINGS {
            setting.apply_env(&mut config)?;
        }
        Ok(config)
    }
}

/// One setting of `T`: where it comes from, what it may be and what it is for.
pub struct Setting<T: 'static> {
    /// The flag, without its dashes.
    pub flag: &'static str,
    /// The environment variable.
    pub variable: &'static str,
    /// What values are allowed, for people.
    pub allowed: &'static str,
    /// What it means, in a line.
    pub meaning: &'static str,
    /// Its value as text, as [`Setting::set`] takes it.
    pub show: fn(&T) -> String,
    /// Sets it from text; `None` when that is not allowed.
    pub set: fn(&mut T, &str) -> Option<()>,
}

impl<T> Setting<T> {
    /// Sets it from text; `origin` is the flag or the variable that the text comes from.
    ///
    /// # Errors
    /// The text is not allowed.
    pub fn apply(&self, to: &mut T, origin: &str, text: &str) -> Result<(), BadSetting> {
        (self.set)(to, text).ok_or_else(|| BadSetting {
            origin: origin.to_owned(),
            value: text.to_owned(),
            allowed: self.allowed,
        })
    }

    /// Sets it from its variable, if that is set.
    ///
    /// # Errors
    /// The variable's value is not allowed.
    pub fn apply_env(&self, to: &mut T) -> Result<(), BadSetting> {
        match env::var_os(self.variable) {
            Some(value) => match value.to_str() {
                Some(text) => self.apply(to, self.variable, text),
                None => Err(BadSetting {
                    origin: self.variable.to_owned(),
                    value: value.to_string_lossy().into_owned(),
                    allowed: self.allowed,
                }),
            },
            None => Ok(()),
        }
    }
}

/// A value that a setting does not allow.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error("{origin} is `{value}`; allowed: {allowed}")]
pub struct BadSetting {
    /// The flag or the variable.
    pub origin: String,
    /// What it was set to.
    pub value: String,
    /// What is allowed.
    pub allowed: &'static str,
}

/// The most fetchers of a pipeline.
pub(crate) const WORKERS_MAX: usize = 4096;
const WORKERS: RangeInclusive<usize> = 1..=WORKERS_MAX;
const MAILBOX: RangeInclusive<usize> = 0..=1000;
const TIMEOUT: RangeInclusive<Duration> = Duration::from_millis(1)..=Duration::from_secs(3600);
const ATTEMPTS: RangeInclusive<u32> = 1..=100;
const WAIT: RangeInclusive<Duration> = Duration::ZERO..=Duration::from_secs(3600);
const PATIENCE: RangeInclusive<Duration> = Duration::ZERO..=Duration::from_secs(30 * 24 * 3600);
const RATE: RangeInclusive<u32> = 0..=1_000_000;
const BATCH: RangeInclusive<usize> = 1..=10_000;
const MAX_BODY: RangeInclusive<u64> = 1..=1 << 30;

/// Every setting of the engine.
pub const SETTINGS: &[Setting<Config>] = &[
    Setting {
        flag: "workers",
        variable: "INGEST_WORKERS",
        allowed: "1 to 4096",
        meaning: "Fetcher actors: the most requests in flight",
        show: |config| config.workers.to_string(),
        set: |config, text| put(&mut config.workers, number(text, &WORKERS)),
    },
    Setting {
        flag: "mailbox",
        variable: "INGEST_MAILBOX",
        allowed: "0 to 1000",
        meaning: "Ids that may wait at a fetcher behind the one in flight; 0 is none",
        show: |config| config.mailbox.to_string(),
        set: |config, text| put(&mut config.mailbox, number(text, &MAILBOX)),
    },
    Setting {
        flag: "timeout",
        variable: "INGEST_TIMEOUT",
        allowed: "1ms to 1h, with a unit: 500ms, 5s, 1m",
        meaning: "One attempt, from connecting to the last byte",
        show: |config| show_duration(config.timeout),
        set: |config, text| put(&mut config.timeout, duration(text, &TIMEOUT)),
    },
    Setting {
        flag: "attempts",
        variable: "INGEST_ATTEMPTS",
        allowed: "1 to 100",
        meaning: "Attempts per id, the first included",
        show: |config| config.attempts.to_string(),
        set: |config, text| put(&mut config.attempts, number(text, &ATTEMPTS)),
    },
    Setting {
        flag: "backoff",
        variable: "INGEST_BACKOFF",
        allowed: "0s to 1h, with a unit: 500ms, 1s, 1m",
        meaning: "Wait before the second attempt; it doubles, with full jitter",
        show: |config| show_duration(config.backoff),
        set: |config, text| put(&mut config.backoff, duration(text, &WAIT)),
    },
    Setting {
        flag: "backoff-max",
        variable: "INGEST_BACKOFF_MAX",
        allowed: "0s to 1h, with a unit: 500ms, 30s, 1m",
        meaning: "The longest of these waits",
        show: |config| show_duration(config.backoff_max),
        set: |config, text| put(&mut config.backoff_max, duration(text, &WAIT)),
    },
    Setting {
        flag: "rate",
        variable: "INGEST_RATE",
        allowed: "0 (no limit) to 1000000, a whole number",
        meaning: "Requests a second over all fetchers, retries included; 0 is no limit",
        show: |config| config.rate.to_string(),
        set: |config, text| put(&mut config.rate, number(text, &RATE)),
    },
    Setting {
        flag: "adaptive",
        variable: "INGEST_ADAPTIVE",
        allowed: "true or false",
        meaning: "Ask less at once where the API bears no more",
        show: |config| config.adaptive.to_string(),
        set: |config, text| put(&mut config.adaptive, text.parse().ok()),
    },
    Setting {
        flag: "batch",
        variable: "INGEST_BATCH",
        allowed: "1 to 10000",
        meaning: "The most rows of one transaction",
        show: |config| config.batch.to_string(),
        set: |config, text| put(&mut config.batch, number(text, &BATCH)),
    },
    Setting {
        flag: "linger",
        variable: "INGEST_LINGER",
        allowed: "0s to 1h, with a unit: 100ms, 1s",
        meaning: "How long rows may wait that are too few for a batch: under a hundred, or under --batch",
        show: |config| show_duration(config.linger),
        set: |config, text| put(&mut config.linger, duration(text, &WAIT)),
    },
    Setting {
        flag: "max-body",
        variable: "INGEST_MAX_BODY",
        allowed: "1B to 1GiB, with a unit: 512KiB, 8MiB, or in bytes",
        meaning: "Larger bodies fail their id",
        show: |config| Bytes(config.max_body).to_string(),
        set: |config, text| {
            let bytes = text.parse::<ByteSize>().ok().map(|size| size.as_u64());
            put(
                &mut config.max_body,
                bytes.filter(|bytes| MAX_BODY.contains(bytes)),
            )
        },
    },
    Setting {
        flag: "drain",
        variable: "INGEST_DRAIN",
        allowed: "0s to 1h, with a unit: 500ms, 5s, 1m",
        meaning: "How long requests in flight may go on after an interruption",
        show: |config| show_duration(config.drain),
        set: |config, text| put(&mut config.drain, duration(text, &WAIT)),
    },
    Setting {
        flag: "outage-patience",
        variable: "INGEST_OUTAGE_PATIENCE",
        allowed: "0s to 30days, with a unit: 30s, 10m, 1h",
        meaning: "How long an API that is out is waited for before the run ends",
        show: |config| show_duration(config.outage_patience),
        set: |config, text| put(&mut config.outage_patience, duration(text, &PATIENCE)),
    },
];

/// Puts a value where it belongs, if there is one.
pub fn put<V>(place: &mut V, value: Option<V>) -> Option<()> {
    *place = value?;
    Some(())
}

/// A whole number within a range.
pub fn number<N: std::str::FromStr + PartialOrd>(
    text: &str,
    range: &RangeInclusive<N>,
) -> Option<N> {
    text.parse().ok().filter(|number| range.contains(number))
}

fn duration(text: &str, range: &RangeInclusive<Duration>) -> Option<Duration> {
    // humantime takes a bare 0; a unit is asked for always, so that nobody wonders which one it is.
    let has_unit = text.contains(|c: char| c.is_ascii_alphabetic());
    let duration = humantime::parse_duration(text).ok().filter(|_| has_unit);
    duration.filter(|duration| range.contains(duration))
}

fn show_duration(duration: Duration) -> String {
    humantime::format_duration(duration).to_string()
}

/// A size that [`ByteSize`] reads back to the byte.
struct Bytes(u64);

impl fmt::Display for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const MIB: u64 = 1024 * 1024;
        match self.0 {
            bytes if bytes % MIB == 0 => write!(f, "{}MiB", bytes / MIB),
            bytes => write!(f, "{bytes}B"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn setting(flag: &str) -> &'static Setting<Config> {
        SETTINGS
            .iter()
            .find(|setting| setting.flag == flag)
            .expect("a setting")
    }

    fn accepts(flag: &str, text: &str) -> bool {
        setting(flag)
            .apply(&mut Config::default(), "test", text)
            .is_ok()
    }

    #[test]
    fn every_default_is_a_value_that_its_setting_takes_and_shows_again() {
        for setting in SETTINGS {
            let shown = (setting.show)(&Config::default());
            let mut config = Config::default();
            assert_eq!(
                setting.apply(&mut config, "test", &shown),
                Ok(()),
                "{}",
                setting.flag
            );
            assert_eq!(config, Config::default(), "{}", setting.flag);
        }
    }

    #[test]
    fn the_ends_of_a_range_are_taken_and_what_lies_past_them_is_not() {
        for (flag, good, bad) in [
            ("workers", ["1", "4096"], ["0", "4097"]),
            ("mailbox", ["0", "1000"], ["-1", "1001"]),
            ("timeout", ["1ms", "1h"], ["0s", "61m"]),
            ("attempts", ["1", "100"], ["0", "101"]),
            ("rate", ["0", "1000000"], ["-1", "1.5"]),
            ("batch", ["1", "10000"], ["0", "10001"]),
            ("max-body", ["1B", "1GiB"], ["0B", "1025MiB"]),
            ("drain", ["0s", "1h"], ["0", "3601s"]),
        ] {
            for text in good {
                assert!(accepts(flag, text), "{flag} {text}");
            }
            for text in bad {
                assert!(!accepts(flag, text), "{flag} {text}");
            }
        }
    }

    #[test]
    fn a_duration_without_a_unit_is_refused_with_its_origin_and_what_is_right() {
        let error = setting("timeout").apply(&mut Config::default(), "INGEST_TIMEOUT", "5");
        let text = error.expect_err("no unit").to_string();
        assert!(
            text.starts_with("INGEST_TIMEOUT is `5`; allowed: 1ms to 1h, with a unit"),
            "{text}"
        );
    }
}
