//! `mock-api`: serves the embedded API until it is told to stop.

use std::{io::ErrorKind, str::FromStr};

use clap::{Arg, ArgMatches, Command};

use super::{Ending, Refusal, output, signals::Signals};
use crate::mock_api::{Faults, Latency, MockApi};

pub(super) struct MockApiArgs(MockApi);

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
        help: "Wait before each answer: 80ms, or 80ms..200ms",
    },
    Flag {
        name: "fail-rate",
        default: "0",
        help: "Share of requests answered 503, 0 to 1",
    },
    Flag {
        name: "hang-rate",
        default: "0",
        help: "Share never answered",
    },
    Flag {
        name: "reset-rate",
        default: "0",
        help: "Share whose connection is closed without an answer",
    },
    Flag {
        name: "truncate-rate",
        default: "0",
        help: "Share whose body is cut in half",
    },
    Flag {
        name: "rate-limit",
        default: "0",
        help: "Requests a second past which 429 is answered; 0 is no limit",
    },
];

pub(super) fn command() -> Command {
    let flags = FLAGS.iter().map(|flag| {
        Arg::new(flag.name)
            .long(flag.name)
            .default_value(flag.default)
            .allow_hyphen_values(true)
            .help(flag.help)
    });
    Command::new("mock-api")
        .about("Serve an HN-compatible API of made-up items on this machine, with faults on demand")
        .args(flags)
}

impl MockApiArgs {
    pub(super) fn read(own: &ArgMatches) -> Result<Self, String> {
        let rate_limit: u32 = value(own, "rate-limit", "a whole number")?;
        let rate = |name| value(own, name, "a number from 0 to 1");
        let faults = Faults {
            latency: latency(own.get_one::<String>("latency").map_or("", String::as_str))?,
            fail_rate: rate("fail-rate")?,
            hang_rate: rate("hang-rate")?,
            reset_rate: rate("reset-rate")?,
            truncate_rate: rate("truncate-rate")?,
            rate_limit: (rate_limit > 0).then_some(rate_limit),
        };
        Ok(Self(MockApi {
            faults,
            seed: value(own, "seed", "a whole number")?,
            max_item: value(own, "max-item", "a whole number")?,
            port: value(own, "port", "0 to 65535")?,
        }))
    }
}

fn value<T: FromStr>(own: &ArgMatches, name: &str, allowed: &str) -> Result<T, String> {
    let text = own.get_one::<String>(name).map_or("", String::as_str);
    parse(name, text, allowed)
}

/// What `--latency` says, here and wherever else the embedded API is slowed down.
pub(super) fn latency(text: &str) -> Result<Latency, String> {
    let allowed = "a duration such as 80ms, or two as in 80ms..200ms";
    parse("latency", text, allowed)
}

fn parse<T: FromStr>(name: &str, text: &str, allowed: &str) -> Result<T, String> {
    text.parse()
        .map_err(|_| format!("--{name} is `{text}`; allowed: {allowed}"))
}

/// Serves until a signal comes, which is this command's orderly end.
pub(super) async fn serve(MockApiArgs(api): MockApiArgs) -> Result<Ending, Refusal> {
    let mut signals = Signals::listen()?;
    let port = api.port;
    let running = api.start().await.map_err(|error| match error.kind() {
        ErrorKind::InvalidInput => Refusal::new(error),
        _ => Refusal(format!(
            "the mock API cannot serve on port {port}: {error}; try --port 0"
        )),
    })?;
    output::to_stdout(|out| {
        writeln!(out, "{}", running.url())?;
        out.flush()
    });
    signals.next().await;
    running.stop().await;
    Ok(Ending::Complete)
}
