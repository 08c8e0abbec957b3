//! `serve`: a web server over the database, until a signal comes.

use std::net::SocketAddr;

use clap::{Arg, ArgAction, ArgMatches, Command};
use log::warn;

use super::{
    database, demo_mirror,
    exit::{CommandError, ExitStatus},
    metrics_server,
    options::Options,
    signals::Drain,
    terminal::print_message,
};
use crate::serve::{ServeConfig, ServeError, Server};

pub(super) struct ServeArgs {
    allowed_hosts: Vec<String>,
}

const ALLOW_HOST: &str = "allow-host";

pub(super) fn command() -> Command {
    Command::new("serve")
        .about("Serve the database as the API of Hacker News")
        .long_about(
            "Serve the database over HTTP: the API of Hacker News at /v0, /health and /metrics. The database is only read. \
             With --demo it is first filled with made-up items.",
        )
        .arg(
            Arg::new(ALLOW_HOST)
                .long(ALLOW_HOST)
                .value_name("NAME")
                .action(ArgAction::Append)
                .help("Also answer to this host name; may be repeated"),
        )
}

impl ServeArgs {
    pub(super) fn read(matches: &ArgMatches) -> Result<Self, String> {
        let names: Vec<String> = matches
            .get_many(ALLOW_HOST)
            .unwrap_or_default()
            .cloned()
            .collect();
        let is_name = |name: &String| {
            let allowed = |c: char| c.is_ascii_alphanumeric() || "-._".contains(c);
            !name.is_empty() && name.chars().all(allowed)
        };
        match names.iter().find(|name| !is_name(name)) {
            Some(name) => Err(format!(
                "--{ALLOW_HOST} is `{name}`; allowed: a host name such as hn.example.org, without a port"
            )),
            None => Ok(Self {
                allowed_hosts: names,
            }),
        }
    }
}

/// Serves until a signal comes.
pub(super) async fn run(options: &Options, args: ServeArgs) -> Result<ExitStatus, CommandError> {
    let location = options.database();
    // Dropped last: what nothing was stored in goes again.
    let _demo_database = if options.demo {
        Some(database::open_or_create(location.clone(), true).await?)
    } else {
        let checked = location.clone();
        database::blocking(move || database::read_existing(&checked, |_| Ok(()))).await?;
        None
    };
    let recorder = metrics_server::recorder()
        .map_err(|error| CommandError(format!("metrics cannot be kept: {error}")))?;
    let config = ServeConfig {
        address: options.bind.0,
        allowed_hosts: args.allowed_hosts,
        ..ServeConfig::default()
    };
    let server = Server::new(location.secret_text())
        .config(config)
        .metrics(move || recorder.render());
    // From here on a signal lets the answers under way be sent.
    let mut drain = Drain::begin();
    let server = server.start().await.map_err(explained)?;
    warn_if_exposed(server.address());
    print_message(format_args!("serving {location} at {}", server.url()));
    let demo = options
        .demo
        .then(|| actix_rt::spawn(demo_mirror::fill(options.clone())));
    let signal = drain.first_signal().await;
    server.stop().await;
    if let Some(demo) = demo {
        // It ends with the signal, and closes the database.
        let _ = demo.await;
    }
    Ok(ExitStatus::Interrupted { signal })
}

fn explained(error: ServeError) -> CommandError {
    match error {
        ServeError::Address { .. } => {
            CommandError(format!("{error}; name another address with --bind"))
        }
        error => CommandError::new(error),
    }
}

fn warn_if_exposed(address: SocketAddr) {
    if !address.ip().is_loopback() {
        warn!(
            "{address} is reached from other machines: whoever can connect to it can read all of the database; put a proxy with \
             TLS before it, or leave out --bind"
        );
    }
}
