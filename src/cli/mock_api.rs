//! `mock-api`: serves the embedded API until a signal comes.

use std::{
    io::ErrorKind,
    str::FromStr,
    time::{Duration, SystemTime},
};

use clap::{ArgMatches, Command, parser::ValueSource};

use super::{
    exit::{CommandError, ExitStatus},
    own_flags::{flag, switch},
    signals::Drain,
    terminal::write_stdout,
    test_clock,
};
use crate::mock_api::{Clock, Faults, ItemRate, LatencyRange, Live, MockApi, Streams};

/// The API as the flags set it up.
pub(super) struct MockApiArgs(MockApi);

/// A flag of this command alone.
struct Flag {
    name: &'static str,
    default: &'static str,
    help: &'static str,
}

/// The flags that mean something with `--live` only. `--no-streams` is another.
const LIVE_FLAGS: [Flag; 8] = [
    Flag {
        name: "speed",
        default: "1",
        help: "How many times as fast as real time its clock goes",
    },
    Flag {
        name: "live-start",
        default: "now",
        help: "Time on its clock at the start: 2026-01-31T12:00:00Z",
    },
    Flag {
        name: "live-limit",
        default: "0",
        help: "Stop after adding this many items; 0 is no limit",
    },
    Flag {
        name: "stream-cut-rate",
        default: "0",
        help: "Share of changes at which an event stream breaks",
    },
    Flag {
        name: "stream-loss-rate",
        default: "0",
        help: "Share of changes that event streams leave out",
    },
    Flag {
        name: "stream-cancel-rate",
        default: "0",
        help: "Share of changes at which a stream is cancelled",
    },
    Flag {
        name: "stream-stall",
        default: "0s",
        help: "When a stream falls silent and stays open; 0s is never",
    },
    Flag {
        name: "stream-keep-alive",
        default: "30s",
        help: "Real time from one keep-alive event to the next",
    },
];

const FLAGS: [Flag; 10] = [
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
    Flag {
        name: "live",
        default: "0",
        help: "Items added: 5/s, 90/min; 0 is none",
    },
];

pub(super) fn command() -> Command {
    let to_arg = |Flag {
                      name,
                      default,
                      help,
                  }: &Flag| {
        let value = match *name {
            "latency" | "live-start" | "stream-stall" | "stream-keep-alive" => "TIME",
            "live" => "RATE",
            _ => "N",
        };
        flag(name, value, *help).default_value(*default)
    };
    let flags = FLAGS.iter().map(to_arg);
    let live_flags = LIVE_FLAGS.iter().map(to_arg);
    let no_streams = switch(
        NO_STREAMS,
        "Answer requests for event streams with plain JSON",
    );
    Command::new("mock-api")
        .about("Serve an API of made-up items on this machine")
        .long_about(
            "Serve an HN-compatible API of made-up items on this machine, with faults if you ask for them. It can change as time \
             goes on, and then serves event streams.",
        )
        .args(flags)
        .args(live_flags.chain([no_streams]).map(|arg| arg.hide_short_help(true)))
}

const NO_STREAMS: &str = "no-streams";

impl MockApiArgs {
    pub(super) fn read(matches: &ArgMatches) -> Result<Self, String> {
        let rate_limit: u32 = read_flag(matches, "rate-limit", "a whole number")?;
        let faults = Faults {
            latency: parse_latency(text(matches, "latency"))?,
            fail_rate: share(matches, "fail-rate")?,
            hang_rate: share(matches, "hang-rate")?,
            reset_rate: share(matches, "reset-rate")?,
            truncate_rate: share(matches, "truncate-rate")?,
            rate_limit: (rate_limit > 0).then_some(rate_limit),
        };
        Ok(Self(MockApi {
            faults,
            seed: read_flag(matches, "seed", "a whole number")?,
            max_item: read_flag(matches, "max-item", "a whole number")?,
            port: read_flag(matches, "port", "0 to 65535")?,
            live: read_live(matches)?,
        }))
    }
}

fn read_live(matches: &ArgMatches) -> Result<Option<Live>, String> {
    let live_flags = LIVE_FLAGS.iter().map(|flag| flag.name);
    if text(matches, "live") == "0" {
        let is_given = |name: &&str| matches.value_source(name) == Some(ValueSource::CommandLine);
        return match live_flags.chain([NO_STREAMS]).find(is_given) {
            Some(name) => Err(format!(
                "--{name} means something with --live only; add --live 5/s"
            )),
            None => Ok(None),
        };
    }
    let rate: ItemRate = read_flag(
        matches,
        "live",
        "0, or 1/d to 10000/s, such as 5/s or 90/min",
    )?;
    let limit: u32 = read_flag(matches, "live-limit", "a whole number")?;
    let stall_after = duration(matches, "stream-stall")?;
    let streams = Streams {
        offered: !matches.get_flag(NO_STREAMS),
        keep_alive: duration(matches, "stream-keep-alive")?,
        cut_rate: share(matches, "stream-cut-rate")?,
        loss_rate: share(matches, "stream-loss-rate")?,
        cancel_rate: share(matches, "stream-cancel-rate")?,
        stall_after: (!stall_after.is_zero()).then_some(stall_after),
    };
    Ok(Some(Live {
        limit: (limit > 0).then_some(limit),
        ..Live::new(rate)
            .clock(Clock::running(start(matches)?, speed(matches)?))
            .streams(streams)
    }))
}

fn speed(matches: &ArgMatches) -> Result<f64, String> {
    let allowed = format!("a number above 0, up to {}", Clock::FASTEST);
    let speed: f64 = read_flag(matches, "speed", &allowed)?;
    if speed > 0.0 && speed <= Clock::FASTEST {
        Ok(speed)
    } else {
        Err(not_allowed("speed", text(matches, "speed"), &allowed))
    }
}

fn start(matches: &ArgMatches) -> Result<SystemTime, String> {
    match text(matches, "live-start") {
        "now" => Ok(SystemTime::now()),
        time => humantime::parse_rfc3339_weak(time).map_err(|_| {
            not_allowed(
                "live-start",
                time,
                "now, or a time in UTC such as 2026-01-31T12:00:00Z",
            )
        }),
    }
}

fn share(matches: &ArgMatches, name: &str) -> Result<f64, String> {
    read_flag(matches, name, "a number from 0 to 1")
}

fn duration(matches: &ArgMatches, name: &str) -> Result<Duration, String> {
    let text = text(matches, name);
    humantime::parse_duration(text).map_err(|_| not_allowed(name, text, "a duration such as 30s"))
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
    text.parse().map_err(|_| not_allowed(name, text, allowed))
}

fn not_allowed(name: &str, text: &str, allowed: &str) -> String {
    format!("--{name} is `{text}`; allowed: {allowed}")
}

/// Serves until a signal comes.
pub(super) async fn run(MockApiArgs(api): MockApiArgs) -> Result<ExitStatus, CommandError> {
    let port = api.port;
    // A program that follows an API whose time runs fast needs the same clock.
    let clock = api.live.as_ref().filter(|live| live.clock.speed() != 1.0);
    let clock = clock.map(|live| live.clock.for_other_process());
    let running = api.start().await.map_err(|error| match error.kind() {
        ErrorKind::InvalidInput => CommandError::new(error),
        _ => CommandError(format!(
            "the mock API cannot serve on port {port}: {error}; try --port 0"
        )),
    })?;
    // The reader of the address may keep the process waiting, so a signal ends it until then.
    let printed = write_stdout(|out| {
        writeln!(out, "{}", running.url())?;
        match &clock {
            Some(clock) => writeln!(out, "{}={clock}", test_clock::VARIABLE),
            None => Ok(()),
        }
    });
    if printed != ExitStatus::Complete {
        running.stop().await;
        return Ok(printed);
    }
    let signal = Drain::begin().first_signal().await;
    running.stop().await;
    Ok(ExitStatus::Interrupted { signal })
}
