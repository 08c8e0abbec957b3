//! The command line. The flags of the settings come from the settings' tables, so that each is declared once.

use std::process::ExitCode;

use clap::{
    Arg, ArgAction, ArgMatches, Command,
    error::{ContextKind, ContextValue, ErrorKind},
};

use super::{
    backfill::{self, BackfillArgs},
    exit::ExitStatus,
    items::{self, ItemsArgs},
    list,
    mock_api::{self, MockApiArgs},
    options::{OPTIONS, Options, flag_name},
    retry::{self, RetryArgs},
    status,
    suggestions::most_similar,
    terminal::{print_message, write_stdout},
    tune::{self, TuneArgs},
    verify::{self, VerifyArgs},
};
use crate::{
    hn::List,
    ingest::config::{Config, SETTINGS, Setting},
};

/// What the command line asks for.
pub(super) struct Invocation {
    /// The command, with the arguments that only this command takes.
    pub(super) subcommand: Subcommand,
    /// The settings that several commands share, from flags and variables.
    pub(super) options: Options,
}

/// A command and its own arguments.
pub(super) enum Subcommand {
    List(List),
    Items(ItemsArgs),
    Backfill(BackfillArgs),
    Retry(RetryArgs),
    Verify(VerifyArgs),
    Status,
    Tune(TuneArgs),
    MockApi(MockApiArgs),
}

/// Reads the command line and the environment. An `Err` is the exit code after help or an error message was printed.
pub(super) fn parse() -> Result<Invocation, ExitCode> {
    let matches = command_line()
        .try_get_matches()
        .map_err(|error| print_clap_error(&error))?;
    read(&matches).map_err(exit_with)
}

fn exit_with(message: String) -> ExitCode {
    print_message(message);
    ExitStatus::BadInput.into()
}

fn print_clap_error(error: &clap::Error) -> ExitCode {
    if let (ErrorKind::InvalidSubcommand, Some(ContextValue::String(name))) =
        (error.kind(), error.get(ContextKind::InvalidSubcommand))
    {
        let command_line = command_line();
        let known: Vec<_> = command_line
            .get_subcommands()
            .map(Command::get_name)
            .collect();
        return exit_with(format!(
            "`{name}` is not a command; did you mean {}? The commands are {}",
            most_similar(&known, name),
            known.join(", ")
        ));
    }
    if error.use_stderr() {
        // A closed stderr causes no error of its own.
        let _ = error.print();
        return ExitStatus::BadInput.into();
    }
    write_stdout(|_| error.print()).into()
}

fn read(matches: &ArgMatches) -> Result<Invocation, String> {
    let (name, own_matches) = matches.subcommand().unwrap_or(("top", matches));
    let subcommand = read_subcommand(name, own_matches)?;
    // The settings are global flags: clap hands them down to the matches of the subcommand.
    let flag = |name: &str| own_matches.get_one::<String>(name).cloned();
    let mut options = Options::read(flag).map_err(|error| error.to_string())?;
    options.demo = own_matches.get_flag("demo");
    if options.demo && options.api_url.is_some() {
        return Err(
            "--demo starts an API of its own; leave out --api-url and INGEST_API_URL, or leave out --demo".to_owned(),
        );
    }
    Ok(Invocation {
        subcommand,
        options,
    })
}

fn read_subcommand(name: &str, matches: &ArgMatches) -> Result<Subcommand, String> {
    if let Some(list) = List::ALL.into_iter().find(|list| list.name() == name) {
        return Ok(Subcommand::List(list));
    }
    match name {
        "items" => ItemsArgs::read(matches).map(Subcommand::Items),
        "backfill" => BackfillArgs::read(matches).map(Subcommand::Backfill),
        "retry" => RetryArgs::read(matches).map(Subcommand::Retry),
        "verify" => Ok(Subcommand::Verify(VerifyArgs::read(matches))),
        "status" => Ok(Subcommand::Status),
        "tune" => TuneArgs::read(matches).map(Subcommand::Tune),
        "mock-api" => MockApiArgs::read(matches).map(Subcommand::MockApi),
        other => Err(format!("`{other}` is not a command")),
    }
}

fn command_line() -> Command {
    let options = OPTIONS
        .iter()
        .map(|setting| setting_flag(setting, &Options::default()));
    let engine = SETTINGS
        .iter()
        .map(|setting| setting_flag(setting, &Config::default()));
    let demo = Arg::new("demo")
        .long("demo")
        .action(ArgAction::SetTrue)
        .global(true)
        .help("Start an API of made-up items on a free port of this machine and ingest from it; needs no network");
    Command::new("hn-ingest")
        .version(env!("CARGO_PKG_VERSION"))
        .about("Fetches Hacker News into a SQLite file with a fixed pool of actors, without losing an item.")
        .after_help(
            "Exit codes: 0 every id is stored or absent; 1 some ids failed, or verify found a fault; 2 could not start; \
             3 could not go on; 130/143 interrupted.\nRUST_LOG sets what is logged to stderr [default: warn].",
        )
        .args(options.chain(engine))
        .arg(demo)
        .subcommands(List::ALL.map(list::command))
        .subcommand(items::command())
        .subcommand(backfill::command())
        .subcommand(retry::command())
        .subcommand(verify::command())
        .subcommand(status::command())
        .subcommand(tune::command())
        .subcommand(mock_api::command())
}

fn setting_flag<T>(setting: &Setting<T>, defaults: &T) -> Arg {
    let meaning = setting.meaning;
    let variable = setting.variable;
    let default = (setting.show)(defaults);
    let flag = flag_name(setting);
    Arg::new(flag.clone())
        .long(flag)
        .global(true)
        .allow_hyphen_values(true)
        .help(format!("{meaning} [env: {variable}] [default: {default}]"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        command_line().debug_assert();
    }
}
