//! `serve`: a web server over the database, until a signal comes.

use std::{future, net::SocketAddr, sync::Arc, thread, time::Duration};

use clap::{Arg, ArgAction, ArgMatches, Command};
use log::warn;
use tokio::time::{Instant, sleep};

use super::{
    database, demo_mirror,
    exit::{CommandError, ExitStatus},
    follow::{self, FollowArgs},
    health::Health,
    metrics_server, open_file_limit,
    options::Options,
    own_flags::switch,
    scope::Scope,
    signals::{self, Drain},
    terminal::print_message,
};
use crate::serve::{ServeConfig, ServeError, Server};

pub(super) struct ServeArgs {
    allowed_hosts: Vec<String>,
    /// Whether to follow the API, too.
    follows: bool,
}

const ALLOW_HOST: &str = "allow-host";
const FOLLOW: &str = "follow";

/// When the API cannot be followed, it is tried again after this time.
const FOLLOW_AGAIN: Duration = Duration::from_secs(60);

/// A connection to a database is the file, its log, and the index of that.
const FILES_OF_READER: usize = 3;

pub(super) fn command() -> Command {
    Command::new("serve")
        .about("Serve the database as pages, and as the API of Hacker News")
        .long_about(
            "Serve the database over HTTP: pages to read, a dashboard at /status, the API of Hacker News at /v0, the search API at \
             /api/v1, /health and /metrics. The database is only read. With --follow it is kept true meanwhile; the settings of the API, of the pipeline, and of retries and rate apply only then. With --demo it is \
             filled with made-up items, which go on as time passes.",
        )
        .arg(
            Arg::new(ALLOW_HOST)
                .long(ALLOW_HOST)
                .value_name("NAME")
                .action(ArgAction::Append)
                .help("Also answer to this host name; may be repeated"),
        )
        .arg(switch(FOLLOW, "Keep the database true meanwhile, as follow does"))
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
                follows: matches.get_flag(FOLLOW),
            }),
        }
    }

    /// Whether to follow the API, too.
    pub(super) fn follows(&self) -> bool {
        self.follows
    }

    pub(super) fn scope(&self) -> Scope {
        if self.follows {
            Scope::SERVE_AND_FOLLOW
        } else {
            Scope::SERVE
        }
    }
}

/// Serves until a signal comes.
pub(super) async fn run(options: &Options, args: ServeArgs) -> Result<ExitStatus, CommandError> {
    let location = options.database();
    let follows = args.follows || options.demo;
    // A new file stays, because a run is recorded in it before this is dropped.
    let mut _fresh_file = None;
    if follows {
        _fresh_file = database::open_or_create(location.clone(), options.demo)
            .await?
            .fresh_file;
    } else {
        let checked = location.clone();
        database::blocking(move || database::read_existing(&checked, false, |_| Ok(()))).await?;
    }
    let recorder = metrics_server::recorder()
        .map_err(|error| CommandError(format!("metrics cannot be kept: {error}")))?;
    let mut config = ServeConfig {
        address: options.bind.0,
        allowed_hosts: args.allowed_hosts,
        ..ServeConfig::default()
    };
    let fetchers = if follows { options.config.workers } else { 0 };
    keep_within_open_files(&mut config, fetchers);
    let mut server = Server::new(location.secret_text())
        .config(config)
        .metrics(move || recorder.render());
    let health = Health::default();
    if follows {
        let health = health.clone();
        server = server.health(Arc::new(move || health.state(Instant::now()).into_result()));
    }
    // From here on a signal lets the answers under way be sent.
    let mut drain = Drain::begin();
    let server = server.start().await.map_err(explained)?;
    warn_if_exposed(server.address());
    print_message(format_args!("serving {location} at {}", server.url()));
    let demo = options
        .demo
        .then(|| actix_rt::spawn(demo_mirror::fill(options.clone())));
    let followed = options.clone();
    let mut following = Box::pin(async move {
        if follows {
            keep_following(&followed, health).await
        } else {
            future::pending().await
        }
    });
    // A signal ends following as well.
    let ended = tokio::select! {
        signal = drain.first_signal() => {
            server.stop().await;
            if follows {
                following.await
            } else {
                Ok(ExitStatus::Interrupted { signal })
            }
        }
        ended = &mut following => {
            server.stop().await;
            ended
        }
    };
    if let Some(demo) = demo {
        // It ends with the signal, and closes the database.
        let _ = demo.await;
    }
    ended
}

/// Follows until a signal comes. What is stored can be read meanwhile, so an API that is out does not end the server.
async fn keep_following(options: &Options, health: Health) -> Result<ExitStatus, CommandError> {
    let mut drain = Drain::begin();
    loop {
        let began = Instant::now();
        let following = follow::run(options, FollowArgs::default(), health.clone());
        let error = match following.await {
            Err(error) if signals::noted().is_none() => error,
            ended => return ended,
        };
        health.note_failed_start(began);
        warn!("{error}; the database is served as it is, and following begins again in a minute");
        tokio::select! {
            signal = drain.first_signal() => return Ok(ExitStatus::Interrupted { signal }),
            () = sleep(FOLLOW_AGAIN) => {}
        }
    }
}

/// Allows as many connections as files can be open. Those of the database and of the fetchers come first.
fn keep_within_open_files(config: &mut ServeConfig, fetchers: usize) {
    config.threads = thread::available_parallelism().map_or(1, usize::from);
    // The API of a demo is in this process, too.
    let others = config.reads.at_once * FILES_OF_READER + 2 * fetchers;
    let wanted = config.threads * config.connections + others;
    let allowed = open_file_limit::raise_for(wanted, false);
    if allowed < wanted {
        config.connections = (allowed.saturating_sub(others) / config.threads).max(1);
        warn!(
            "the limit of open files allows {} connections of clients for each of {} threads; raise it with ulimit -n",
            config.connections, config.threads
        );
    }
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
