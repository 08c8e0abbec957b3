//! `mock-api`: serves the embedded API until a signal comes.

use std::{io::ErrorKind, str::FromStr};

use clap::{Arg, ArgMatches, Command};

use super::{
    exit::{CommandError, ExitStatus},
    signals::Drain,
    terminal::write_stdout,
};
use crate::mock_api::{Faults, LatencyRange, MockApi};

/// The API as the flags set it up.
pub(super) struct MockApiArgs(MockApi);

/// A flag of this command alone.
struct Flag {
    name: &'static str,
    default: &'static str,
    help: &'static str,
}

const FLAGS: [Flag; 9] = [
    Flag {
        name: "port",
        default: "0",
        help: "Port on 127.0.0.1; 0 takes a free one",
    },
    Flag {
        name: "max-item",
        default: "1000000",
        help: "The largest id",
    },
    Flag {
        name: "seed",
        default: "1",
        help: "The same seed gives the same items",
    },
    Flag {
        name: "latency",
        default: "0ms",
        help: "Wait per answer: 80ms, or 80ms..200ms",
    },
    Flag {
        name: "fail-rate",
        default: "0",
        help: "Share of requests that get a 503, 0 to 1",
    },
    Flag {
        name: "hang-rate",
        default: "0",
        help: "Share of requests that get no answer",
    },
    Flag {
        name: "reset-rate",
        default: "0",
        help: "Share of connections closed unanswered",
    },
    Flag {
        name: "truncate-rate",
        default: "0",
        help: "Share of bodies that are cut in half",
    },
    Flag {
        name: "rate-limit",
        default: "0",
        help: "Answers per second; 0 is no limit",
    },
];

pub(super) fn command() -> Command {
    let flags = FLAGS.iter().map(|flag| {
        Arg::new(flag.name)
            .long(flag.name)
            .default_value(flag.default)
            .allow_hyphen_values(true)
            .value_name(if flag.name == "latency" { "TIME" } else { "N" })
            .help(flag.help)
    });
    Command::new("mock-api")
        .about("Serve an API of made-up items on this machine")
        .long_about("Serve an HN-compatible API of made-up items on this machine, with faults if you ask for them.")
        .args(flags)
}

impl MockApiArgs {
    pub(super) fn read(matches: &ArgMatches) -> Result<Self, String> {
        let rate_limit: u32 = read_flag(matches, "rate-limit", "a whole number")?;
        let share = |name| read_flag(matches, name, "a number from 0 to 1");
        let faults = Faults {
            latency: parse_latency(text(matches, "latency"))?,
            fail_rate: share("fail-rate")?,
            hang_rate: share("hang-rate")?,
            reset_rate: share("reset-rate")?,
            truncate_rate: share("truncate-rate")?,
            rate_limit: (rate_limit > 0).then_some(rate_limit),
        };
        Ok(Self(MockApi {
            faults,
            seed: read_flag(matches, "seed", "a whole number")?,
            max_item: read_flag(matches, "max-item", "a whole number")?,
            port: read_flag(matches, "port", "0 to 65535")?,
        }))
    }
}

fn read_flag<T: FromStr>(matches: &ArgMatches, name: &str, allowed: &str) -> Result<T, String> {
    parse(name, text(matches, name), allowed)
}

fn text<'a>(matches: &'a ArgMatches, name: &str) -> &'a str {
    matches.get_one::<String>(name).map_or("", String::as_str)
}

/// Reads the value of `--latency`, a flag of this command and of `tune`.
pub(super) fn parse_latency(text: &str) -> Result<LatencyRange, String> {
    parse(
        "latency",
        text,
        "a duration such as 80ms, or two as in 80ms..200ms",
    )
}

fn parse<T: FromStr>(name: &str, text: &str, allowed: &str) -> Result<T, String> {
    text.parse()
        .map_err(|_| format!("--{name} is `{text}`; allowed: {allowed}"))
}

/// Serves until a signal comes.
pub(super) async fn run(MockApiArgs(api): MockApiArgs) -> Result<ExitStatus, CommandError> {
    let port = api.port;
    let running = api.start().await.map_err(|error| match error.kind() {
        ErrorKind::InvalidInput => CommandError::new(error),
        _ => CommandError(format!(
            "the mock API cannot serve on port {port}: {error}; try --port 0"
        )),
    })?;
    // The reader of the address may keep the process waiting, so a signal ends it until then.
    let printed = write_stdout(|out| writeln!(out, "{}", running.url()));
    if printed != ExitStatus::Complete {
        running.stop().await;
        return Ok(printed);
    }
    let signal = Drain::begin().first_signal().await;
    running.stop().await;
    Ok(ExitStatus::Interrupted { signal })
}
