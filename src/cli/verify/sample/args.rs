//! The flags of a sample.

use clap::{Arg, ArgMatches};

use super::percent::{self, Percent};
use crate::{
    cli::own_flags::flag,
    ingest::config::{BadSetting, presentable},
};

pub(in crate::cli) struct SampleArgs {
    /// How many ids to read.
    pub(super) size: u64,
    /// Decides which ones.
    pub(super) seed: u64,
    /// The exit code is 1 unless the sample shows that no larger share is stale.
    pub(super) max_stale: Option<Percent>,
    /// Whether to store what was read.
    pub(super) repair: bool,
}

const SAMPLE: &str = "sample";
const SEED: &str = "seed";
const MAX_STALE: &str = "max-stale";

/// The flags, of which `--repair` is not one.
pub(in crate::cli::verify) fn flags() -> [Arg; 3] {
    let flag = |name, value, help, long_help| flag(name, value, help).long_help(long_help);
    [
        flag(
            SAMPLE,
            "N",
            "Instead, compare N random ids with the API",
            "Instead of checking the database, read N random settled ids from the API again. Says how many differ and in which fields, and how large the share of all ids that differ can be, with 95 % confidence. If there are fewer ids, all are read",
        ),
        flag(
            MAX_STALE,
            "SHARE",
            "Exit code 1 unless at most SHARE differs: 1%",
            "With --sample: the exit code is 1 unless it shows that at most this share of all ids differs (1% or 0.5%), with 95 % confidence. For 1% that takes at least 299 ids, if none differs",
        ),
        flag(
            SEED,
            "N",
            "The same seed gives the same sample",
            "With --sample: the same seed gives the same ids, as long as the same ids are settled [default: random]",
        )
        .hide_short_help(true),
    ]
}

impl SampleArgs {
    /// `None` if no sample is asked for.
    pub(in crate::cli::verify) fn read(
        matches: &ArgMatches,
        repair: bool,
    ) -> Result<Option<Self>, String> {
        let Some(size) = value(matches, SAMPLE, SIZES, parse_size)? else {
            let needless = [MAX_STALE, SEED].into_iter();
            return match needless.into_iter().find(|name| matches.contains_id(name)) {
                None => Ok(None),
                Some(name) => Err(format!(
                    "`--{name}` means nothing to `verify` without --sample; add --sample N, or leave it out"
                )),
            };
        };
        let seed = value(matches, SEED, SEEDS, |text| text.parse().ok())?;
        Ok(Some(Self {
            size,
            // Short, because a person may want to type it.
            seed: seed.unwrap_or_else(|| fastrand::u32(..).into()),
            max_stale: value(matches, MAX_STALE, percent::ALLOWED, Percent::parse)?,
            repair,
        }))
    }
}

const SIZES: &str = "a whole number from 1";
const SEEDS: &str = "a whole number from 0 to 18446744073709551615";

fn parse_size(text: &str) -> Option<u64> {
    text.parse().ok().filter(|size| *size > 0)
}

fn value<T>(
    matches: &ArgMatches,
    name: &str,
    allowed: &'static str,
    parse: impl Fn(&str) -> Option<T>,
) -> Result<Option<T>, String> {
    let Some(text) = matches.get_one::<String>(name) else {
        return Ok(None);
    };
    let bad = || BadSetting {
        origin: format!("--{name}"),
        value: presentable(text),
        allowed,
    };
    parse(text).map(Some).ok_or_else(|| bad().to_string())
}
