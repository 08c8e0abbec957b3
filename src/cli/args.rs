//! The command line. Flags are made of the settings' tables, so that each is declared once.

use std::process::ExitCode;

use clap::{
    Arg, ArgAction, ArgMatches, Command as Clap,
    error::{ContextKind, ContextValue, ErrorKind},
};

use super::{
    Ending,
    backfill::{self, BackfillArgs},
    id::parse_id,
    mock_api::{self, MockApiArgs},
    options::{OPTIONS, Options, nearest},
    output::complain,
    retry::{self, RetryArgs},
    status,
    tune::{self, TuneArgs},
    verify::{self, VerifyArgs},
};
use crate::{
    hn::List,
    ingest::config::{Config, SETTINGS, Setting},
};

pub(super) struct Invocation {
    pub(super) command: Command,
    pub(super) options: Options,
}

pub(super) enum Command {
    List(List),
    Items(IdArgs),
    Backfill(BackfillArgs),
    Retry(RetryArgs),
    Verify(VerifyArgs),
    Status,
    Tune(TuneArgs),
    MockApi(MockApiArgs),
}

/// Where the ids of `items` come from.
pub(super) enum IdArgs {
    Named(Vec<i64>),
    Stdin,
}

/// What was asked for; else all has been said, and this is the exit code.
pub(super) fn parse() -> Result<Invocation, ExitCode> {
    let refuse = |why: String| {
        complain(why);
        ExitCode::from(Ending::Refused)
    };
    let matches = cli().try_get_matches().map_err(|error| {
        if let (ErrorKind::InvalidSubcommand, Some(ContextValue::String(name))) =
            (error.kind(), error.get(ContextKind::InvalidSubcommand))
        {
            let cli = cli();
            let known: Vec<_> = cli.get_subcommands().map(Clap::get_name).collect();
            return refuse(format!(
                "`{name}` is no command; did you mean {}? There are {}",
                nearest(&known, name),
                known.join(", ")
            ));
        }
        // A closed stdout is no reason to fail.
        let _ = error.print();
        ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(2))
    })?;
    let (name, own) = matches.subcommand().unwrap_or(("top", &matches));
    let command = command(name, own).map_err(refuse)?;
    // Flags are global: clap hands them down to the command's matches.
    let flag = |flag: &str| own.get_one::<String>(flag).cloned();
    let mut options = Options::gather(flag).map_err(|error| refuse(error.to_string()))?;
    options.demo = own.get_flag("demo");
    if options.demo && options.api_url.is_some() {
        return Err(refuse(
            "--demo is an API of its own; leave out --api-url and INGEST_API_URL".to_owned(),
        ));
    }
    Ok(Invocation { command, options })
}

fn command(name: &str, own: &ArgMatches) -> Result<Command, String> {
    if let Some(list) = List::ALL.into_iter().find(|list| list.name() == name) {
        return Ok(Command::List(list));
    }
    match name {
        "items" => id_args(own).map(Command::Items),
        "backfill" => BackfillArgs::read(own).map(Command::Backfill),
        "retry" => RetryArgs::read(own).map(Command::Retry),
        "verify" => Ok(Command::Verify(VerifyArgs::read(own))),
        "status" => Ok(Command::Status),
        "tune" => TuneArgs::read(own).map(Command::Tune),
        "mock-api" => MockApiArgs::read(own).map(Command::MockApi),
        other => Err(format!("`{other}` is no command")),
    }
}

fn id_args(own: &ArgMatches) -> Result<IdArgs, String> {
    let texts: Vec<&String> = own.get_many("ID").unwrap_or_default().collect();
    if texts == ["-"] {
        return Ok(IdArgs::Stdin);
    }
    let ids = texts.into_iter().map(|text| {
        parse_id(text)
            .ok_or_else(|| format!("`{text}` is no id; an id is a whole number from 1, and - alone reads ids from standard input"))
    });
    ids.collect::<Result<_, _>>().map(IdArgs::Named)
}

fn cli() -> Clap {
    let settings = OPTIONS
        .iter()
        .map(|setting| flag(setting, &Options::default()))
        .chain(
            SETTINGS
                .iter()
                .map(|setting| flag(setting, &Config::default())),
        );
    let demo = Arg::new("demo")
        .long("demo")
        .action(ArgAction::SetTrue)
        .global(true)
        .help("Start an API of made-up items on a free port of this machine and ingest from it; no network is needed");
    Clap::new("hn-ingest")
        .version(env!("CARGO_PKG_VERSION"))
        .about("Fetches Hacker News into a SQLite file with a fixed pool of actors, losing nothing.")
        .after_help(
            "Exit codes: 0 all stored or absent; 1 some ids failed, or verify found a fault; 2 could not start; 3 could not go on; \
             130/143 interrupted.\nRUST_LOG sets what is logged to stderr [default: warn].",
        )
        .args(settings)
        .arg(demo)
        .subcommands(List::ALL.map(|list| Clap::new(list.name()).about(about(list))))
        .subcommand(items())
        .subcommand(backfill::command())
        .subcommand(retry::command())
        .subcommand(verify::command())
        .subcommand(status::command())
        .subcommand(tune::command())
        .subcommand(mock_api::command())
}

fn about(list: List) -> &'static str {
    match list {
        List::Top => "Fetch the top stories (the default)",
        List::New => "Fetch the newest stories",
        List::Best => "Fetch the best stories",
        List::Ask => "Fetch the Ask HN stories",
        List::Show => "Fetch the Show HN stories",
        List::Job => "Fetch the job stories",
    }
}

fn items() -> Clap {
    let ids = Arg::new("ID")
        .num_args(1..)
        .required(true)
        .allow_negative_numbers(true)
        .help("Ids of items; - alone reads them from standard input, separated by blanks or lines");
    Clap::new("items")
        .about("Fetch the items with these ids")
        .arg(ids)
}

fn flag<T>(setting: &Setting<T>, default: &T) -> Arg {
    let Setting {
        meaning, variable, ..
    } = setting;
    let default = (setting.show)(default);
    Arg::new(setting.flag)
        .long(setting.flag)
        .global(true)
        .allow_hyphen_values(true)
        .help(format!("{meaning} [env: {variable}] [default: {default}]"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        cli().debug_assert();
    }
}
