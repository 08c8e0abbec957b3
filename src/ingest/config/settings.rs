//! The table of the engine's settings. The binary makes its flags from this table, and [`Config::from_env`] reads its variables.

use std::{ops::RangeInclusive, time::Duration};

use bytesize::ByteSize;

use super::{
    proxy::{self, HttpProxy},
    setting::{BadSetting, Heading, Setting, number, put},
    values::Config,
};

impl Config {
    /// Checks that every setting is within the range that [`SETTINGS`] allows.
    ///
    /// # Errors
    /// The first setting that is out of its range.
    pub fn check(&self) -> Result<(), BadSetting> {
        let mut scratch = Self::default();
        SETTINGS.iter().try_for_each(|setting| {
            setting.apply(&mut scratch, setting.name, &(setting.show)(self))
        })
    }

    /// The default settings, changed by the `INGEST_…` environment variables that are set. Without `INGEST_PROXY`, the proxies
    /// are those of [`HttpProxy::from_env`]. `NO_PROXY` also counts for the proxy that `INGEST_PROXY` names.
    ///
    /// # Errors
    /// The first variable whose value is not allowed.
    pub fn from_env() -> Result<Self, BadSetting> {
        Self::read(Setting::apply_env)
    }

    /// The default settings, changed by `read`. It returns whether it has set a setting. If it has not set the proxy, the
    /// environment's proxies count. `NO_PROXY` counts for any proxy.
    pub(crate) fn read(
        read: impl Fn(&Setting<Self>, &mut Self) -> Result<bool, BadSetting>,
    ) -> Result<Self, BadSetting> {
        let mut config = Self::default();
        for setting in SETTINGS {
            let is_set = read(setting, &mut config)?;
            if setting.name == PROXY {
                config.proxy = if is_set {
                    config.proxy.except_no_proxy_of_environment()
                } else {
                    HttpProxy::from_env()
                };
            }
        }
        Ok(config)
    }
}

/// The most fetchers of a pipeline.
pub(crate) const WORKERS_MAX: usize = 4096;
const WORKERS: RangeInclusive<usize> = 1..=WORKERS_MAX;
const MAILBOX: RangeInclusive<usize> = 0..=1000;
const TIMEOUT: RangeInclusive<Duration> = Duration::from_millis(1)..=Duration::from_secs(3600);
const ATTEMPTS: RangeInclusive<u32> = 1..=100;
const WAIT: RangeInclusive<Duration> = Duration::ZERO..=Duration::from_secs(3600);
const OUTAGE_PATIENCE: RangeInclusive<Duration> =
    Duration::ZERO..=Duration::from_secs(30 * 24 * 3600);
/// The highest rate, in requests per second.
pub(crate) const RATE_MAX: u32 = 1_000_000;
const RATE: RangeInclusive<u32> = 0..=RATE_MAX;
const MAX_REFUSALS: RangeInclusive<usize> = 0..=100_000;
const BATCH: RangeInclusive<usize> = 1..=10_000;
const MAX_BODY: RangeInclusive<u64> = 1..=1 << 30;

const PROXY: &str = "proxy";

/// Every setting of the engine.
pub const SETTINGS: &[Setting<Config>] = &[
    Setting {
        name: PROXY,
        variable: "INGEST_PROXY",
        heading: Heading::Api,
        allowed: proxy::ALLOWED,
        meaning: "HTTP proxy, except for hosts in NO_PROXY; environment is HTTPS_PROXY, http_proxy and ALL_PROXY, none ignores them",
        show: |config| config.proxy.to_setting(),
        set: |config, text| put(&mut config.proxy, HttpProxy::parse(text)),
    },
    Setting {
        name: "workers",
        variable: "INGEST_WORKERS",
        heading: Heading::Pipeline,
        allowed: "1 to 4096",
        meaning: "Fetcher actors, which is the most requests in flight",
        show: |config| config.workers.to_string(),
        set: |config, text| put(&mut config.workers, number(text, &WORKERS)),
    },
    Setting {
        name: "mailbox",
        variable: "INGEST_MAILBOX",
        heading: Heading::Pipeline,
        allowed: "0 to 1000",
        meaning: "Ids that are read ahead for each busy fetcher; 0 is none",
        show: |config| config.mailbox.to_string(),
        set: |config, text| put(&mut config.mailbox, number(text, &MAILBOX)),
    },
    Setting {
        name: "timeout",
        variable: "INGEST_TIMEOUT",
        heading: Heading::Pipeline,
        allowed: "1ms to 1h, with a unit: 500ms, 5s, 1m",
        meaning: "Deadline of one attempt, from connecting to the last byte",
        show: |config| show_duration(config.timeout),
        set: |config, text| put(&mut config.timeout, duration(text, &TIMEOUT)),
    },
    Setting {
        name: "attempts",
        variable: "INGEST_ATTEMPTS",
        heading: Heading::RetriesAndRate,
        allowed: "1 to 100",
        meaning: "Attempts per id, the first included",
        show: |config| config.attempts.to_string(),
        set: |config, text| put(&mut config.attempts, number(text, &ATTEMPTS)),
    },
    Setting {
        name: "backoff",
        variable: "INGEST_BACKOFF",
        heading: Heading::RetriesAndRate,
        allowed: "0s to 1h, with a unit: 500ms, 1s, 1m",
        meaning: "Longest wait before the second attempt; it doubles, with full jitter",
        show: |config| show_duration(config.backoff),
        set: |config, text| put(&mut config.backoff, duration(text, &WAIT)),
    },
    Setting {
        name: "backoff_max",
        variable: "INGEST_BACKOFF_MAX",
        heading: Heading::RetriesAndRate,
        allowed: "0s to 1h, with a unit: 500ms, 30s, 1m",
        meaning: "Cap of that doubling",
        show: |config| show_duration(config.backoff_max),
        set: |config, text| put(&mut config.backoff_max, duration(text, &WAIT)),
    },
    Setting {
        name: "rate",
        variable: "INGEST_RATE",
        heading: Heading::RetriesAndRate,
        allowed: "0 (no limit) to 1000000, a whole number",
        meaning: "Requests per second over all fetchers, retries included; 0 is no limit",
        show: |config| config.rate.to_string(),
        set: |config, text| put(&mut config.rate, number(text, &RATE)),
    },
    Setting {
        name: "adaptive",
        variable: "INGEST_ADAPTIVE",
        heading: Heading::RetriesAndRate,
        allowed: "true or false",
        meaning: "Lower concurrency and rate to what the API accepts",
        show: |config| config.adaptive.to_string(),
        set: |config, text| put(&mut config.adaptive, text.parse().ok()),
    },
    Setting {
        name: "batch",
        variable: "INGEST_BATCH",
        heading: Heading::Database,
        allowed: "1 to 10000",
        meaning: "Most rows of one transaction",
        show: |config| config.batch.to_string(),
        set: |config, text| put(&mut config.batch, number(text, &BATCH)),
    },
    Setting {
        name: "linger",
        variable: "INGEST_LINGER",
        heading: Heading::Database,
        allowed: "0s to 1h, with a unit: 100ms, 1s",
        meaning: "How long fewer than a hundred rows (or fewer than a batch) may wait for more",
        show: |config| show_duration(config.linger),
        set: |config, text| put(&mut config.linger, duration(text, &WAIT)),
    },
    Setting {
        name: "max_body",
        variable: "INGEST_MAX_BODY",
        heading: Heading::Pipeline,
        allowed: "1B to 1GiB, with a unit: 512KiB, 8MiB, or in bytes",
        meaning: "Largest body; a larger one fails its id",
        show: |config| show_bytes(config.max_body),
        set: |config, text| {
            let bytes = text.parse::<ByteSize>().ok().map(|size| size.as_u64());
            put(
                &mut config.max_body,
                bytes.filter(|bytes| MAX_BODY.contains(bytes)),
            )
        },
    },
    Setting {
        name: "drain",
        variable: "INGEST_DRAIN",
        heading: Heading::Pipeline,
        allowed: "0s to 1h, with a unit: 500ms, 5s, 1m",
        meaning: "How long requests in flight may go on after an interruption",
        show: |config| show_duration(config.drain),
        set: |config, text| put(&mut config.drain, duration(text, &WAIT)),
    },
    Setting {
        name: "outage_patience",
        variable: "INGEST_OUTAGE_PATIENCE",
        heading: Heading::RetriesAndRate,
        allowed: "0s to 30days, with a unit: 30s, 10m, 1h",
        meaning: "How long to wait for an API that is out before the run ends",
        show: |config| show_duration(config.outage_patience),
        set: |config, text| {
            put(
                &mut config.outage_patience,
                duration(text, &OUTAGE_PATIENCE),
            )
        },
    },
    Setting {
        name: "max_refusals",
        variable: "INGEST_MAX_REFUSALS",
        heading: Heading::RetriesAndRate,
        allowed: "0 (no limit) to 100000",
        meaning: "Ids that may fail in a row before the run ends; 0 is no limit",
        show: |config| config.max_refusals.to_string(),
        set: |config, text| put(&mut config.max_refusals, number(text, &MAX_REFUSALS)),
    },
];

fn duration(text: &str, range: &RangeInclusive<Duration>) -> Option<Duration> {
    // humantime takes a 0 without a unit. A unit is always required, so that it is never guessed.
    let has_unit = text.contains(|c: char| c.is_ascii_alphabetic());
    let duration = humantime::parse_duration(text).ok().filter(|_| has_unit);
    duration.filter(|duration| range.contains(duration))
}

fn show_duration(duration: Duration) -> String {
    humantime::format_duration(duration).to_string()
}

/// Shows a number of bytes so that [`ByteSize`] reads exactly the same number.
fn show_bytes(bytes: u64) -> String {
    const MIB: u64 = 1024 * 1024;
    if bytes.is_multiple_of(MIB) {
        format!("{}MiB", bytes / MIB)
    } else {
        format!("{bytes}B")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_setting_is_named_after_its_field() {
        let fields = format!("{:?}", Config::default());
        for setting in SETTINGS {
            assert!(
                fields.contains(&format!("{}: ", setting.name)),
                "{}",
                setting.name
            );
        }
    }

    fn setting(name: &str) -> &'static Setting<Config> {
        SETTINGS
            .iter()
            .find(|setting| setting.name == name)
            .expect("a setting")
    }

    fn accepts(name: &str, text: &str) -> bool {
        setting(name)
            .apply(&mut Config::default(), "test", text)
            .is_ok()
    }

    #[test]
    fn every_default_is_allowed_and_survives_being_shown_and_set() {
        for setting in SETTINGS {
            let shown = (setting.show)(&Config::default());
            let mut config = Config::default();
            assert_eq!(
                setting.apply(&mut config, "test", &shown),
                Ok(()),
                "{}",
                setting.name
            );
            assert_eq!(config, Config::default(), "{}", setting.name);
        }
    }

    #[test]
    fn the_ends_of_a_range_are_allowed_and_values_beyond_are_not() {
        for (name, good, bad) in [
            ("workers", ["1", "4096"], ["0", "4097"]),
            ("mailbox", ["0", "1000"], ["-1", "1001"]),
            ("timeout", ["1ms", "1h"], ["0s", "61m"]),
            ("attempts", ["1", "100"], ["0", "101"]),
            ("rate", ["0", "1000000"], ["-1", "1.5"]),
            ("batch", ["1", "10000"], ["0", "10001"]),
            ("max_body", ["1B", "1GiB"], ["0B", "1025MiB"]),
            ("drain", ["0s", "1h"], ["0", "3601s"]),
            ("max_refusals", ["0", "100000"], ["-1", "100001"]),
        ] {
            for text in good {
                assert!(accepts(name, text), "{name} {text}");
            }
            for text in bad {
                assert!(!accepts(name, text), "{name} {text}");
            }
        }
    }

    #[test]
    fn a_duration_without_a_unit_is_refused_and_the_message_names_its_origin_and_what_is_allowed() {
        let error = setting("timeout").apply(&mut Config::default(), "INGEST_TIMEOUT", "5");
        let text = error.expect_err("no unit").to_string();
        assert!(
            text.starts_with("INGEST_TIMEOUT is `5`; allowed: 1ms to 1h, with a unit"),
            "{text}"
        );
    }
}
