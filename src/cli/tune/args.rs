//! The arguments of `tune`.

use std::time::Duration;

use clap::{ArgMatches, Command};

use super::worker_counts::WorkerCounts;
use crate::{
    cli::{
        flags::Flags,
        mock_api::parse_latency,
        own_flags::{flag, switch},
    },
    ingest::config::WORKERS_MAX,
    mock_api::LatencyRange,
};

const STEP_TIME: &str = "3s";
const LATENCY: &str = "100ms";

pub(in crate::cli) struct TuneArgs {
    /// Whether to measure the API of `--api-url` instead of an embedded one.
    pub(super) live: bool,
    pub(super) worker_counts: WorkerCounts,
    /// How long each worker count is measured.
    pub(super) step_time: Duration,
    /// How long the embedded API waits before each answer.
    pub(super) latency: LatencyRange,
}

pub(in crate::cli) fn command() -> Command {
    let flag = |name: &'static str, value: &'static str, short: String, more: &str| {
        let long = format!("{short}{more}");
        flag(name, value, short).long_help(long)
    };
    let live = switch("live", "Measure the API of --api-url, no faster than --rate")
        .conflicts_with("latency")
        .long_help("Measure the API of --api-url, with random ids and no faster than --rate, which must be given; stops at the first 429, or when more than 5 % of the attempts fail");
    Command::new("tune")
        .about("Find how many workers are worth it")
        .long_about(
            "Find how many workers are worth it: try worker counts, draw the curve, name the knee.\n\n\
             Each step runs a whole pipeline for a while into a temporary database (in TMPDIR). By default it fetches from an API of \
             made-up items inside this program. That shows what this machine can do with an API that is so far away. The API of \
             --api-url or INGEST_API_URL is measured only with --live. The last lines on standard output are for your shell: \
             `hn-ingest tune | grep ^export`.",
        )
        .arg(live)
        .arg(flag(
            "steps",
            "N,…",
            "Try these worker counts [default: 1, 2, 4 and so on]".to_owned(),
            "; without it, until two more steps bring nothing",
        ))
        .arg(
            flag(
                "max-workers",
                "N",
                format!("Try no more workers than this [default: {WORKERS_MAX}]"),
                "",
            )
            .conflicts_with("steps"),
        )
        .arg(flag(
            "step-time",
            "TIME",
            format!("How long each step lasts [default: {STEP_TIME}]"),
            "; its first fifth is not counted",
        ))
        .arg(flag(
            "latency",
            "TIME",
            format!("Wait of the embedded API per answer [default: {LATENCY}]"),
            "; 80ms, for example, or 80ms..200ms",
        ))
}

impl TuneArgs {
    pub(in crate::cli) fn read(matches: &ArgMatches, flags: &Flags<'_>) -> Result<Self, String> {
        let value = |name: &str| matches.get_one::<String>(name).map(String::as_str);
        let live = matches.get_flag("live");
        if flags.value("workers").is_some() {
            return Err(
                "tune tries worker counts itself: leave out --workers, or name counts with --steps 8,16,32"
                    .to_owned(),
            );
        }
        if live && flags.demo() {
            return Err(
                "--demo measures the embedded API and --live another one: leave out one of them"
                    .to_owned(),
            );
        }
        if !live && flags.value("api-url").is_some() {
            return Err(
                "tune measures the embedded API; to measure the one of --api-url add --live and --rate N"
                    .to_owned(),
            );
        }
        let worker_counts = match value("steps") {
            Some(text) => WorkerCounts::parse_list("steps", text)?,
            None => WorkerCounts::up_to("max-workers", value("max-workers"))?,
        };
        let step_time = value("step-time").unwrap_or(STEP_TIME);
        Ok(Self {
            live,
            worker_counts,
            step_time: parse_step_time(step_time).ok_or_else(|| {
                format!("--step-time is `{step_time}`; allowed: 500ms to 1h, with a unit: 3s, 1m")
            })?,
            latency: parse_latency(value("latency").unwrap_or(LATENCY))?,
        })
    }
}

/// In less than half a second hardly a batch is committed, so there would be no rate to measure.
fn parse_step_time(text: &str) -> Option<Duration> {
    let allowed = Duration::from_millis(500)..=Duration::from_secs(3600);
    let duration = humantime::parse_duration(text).ok();
    duration.filter(|duration| allowed.contains(duration))
}
