//! Reads the arguments: which command, with which settings.

use std::{env, ffi::OsString, process::ExitCode};

use clap::{
    ArgMatches,
    error::{ContextKind, ContextValue, ErrorKind},
};

use super::{
    backfill::BackfillArgs,
    command_line::{Purpose, command_line, declared},
    completions::CompletionsArgs,
    copy::CopyArgs,
    exit::ExitStatus,
    flags::Flags,
    follow::FollowArgs,
    items::ItemsArgs,
    man::ManArgs,
    mock_api::MockApiArgs,
    not_utf8,
    options::{OPTIONS, Options, flag_name},
    retry::RetryArgs,
    scope::{DEMO, Scope},
    search::SearchArgs,
    serve::ServeArgs,
    suggestions::most_similar,
    terminal::{print_message, write_stdout},
    tune::TuneArgs,
    users::UsersArgs,
    verify::VerifyArgs,
};
use crate::{
    hn::List,
    ingest::config::{Heading, SETTINGS},
};

/// The command if none is named.
const DEFAULT_COMMAND: &str = "top";

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
    Users(UsersArgs),
    Backfill(BackfillArgs),
    Follow(FollowArgs),
    Retry(RetryArgs),
    Verify(VerifyArgs),
    Copy(CopyArgs),
    Status,
    Search(SearchArgs),
    Serve(ServeArgs),
    Tune(TuneArgs),
    MockApi(MockApiArgs),
    Completions(CompletionsArgs),
    Man(ManArgs),
}

/// Reads the command line and the environment. An `Err` is the exit code after help or an error message was printed.
pub(super) fn parse() -> Result<Invocation, ExitCode> {
    let purpose = if asks_for_short_help(env::args_os()) {
        Purpose::ShortHelp
    } else {
        Purpose::Parse
    };
    let matches = command_line(purpose)
        .try_get_matches()
        .map_err(|error| print_clap_error(&error))?;
    read(&matches).map_err(exit_with)
}

/// Whether the first call for help in these arguments is `-h`.
fn asks_for_short_help(args: impl Iterator<Item = OsString>) -> bool {
    let mut calls = args.filter(|arg| arg == "-h" || arg == "--help");
    calls.next().is_some_and(|call| call == "-h")
}

fn exit_with(message: String) -> ExitCode {
    print_message(message);
    ExitStatus::BadInput.into()
}

fn print_clap_error(error: &clap::Error) -> ExitCode {
    if let (ErrorKind::InvalidSubcommand, Some(ContextValue::String(name))) =
        (error.kind(), error.get(ContextKind::InvalidSubcommand))
    {
        // `help` takes no flags, and those of other commands do the same.
        if name == "--help" || name == "-h" {
            let help = command_line(Purpose::Parse).render_long_help();
            return write_stdout(|out| write!(out, "{help}")).into();
        }
        if name.parse::<u64>().is_ok() || name.starts_with("http") {
            return exit_with(format!(
                "`{name}` is not a command; `hn-ingest items {name}` fetches an item"
            ));
        }
        let declared = declared();
        let known: Vec<_> = declared
            .iter()
            .map(|declared| declared.command.get_name())
            .collect();
        return exit_with(format!(
            "`{name}` is not a command; did you mean {}? The commands are {}",
            most_similar(&known, name),
            known.join(", ")
        ));
    }
    if error.kind() == ErrorKind::InvalidUtf8
        && let Some(message) = not_utf8::message(&command_line(Purpose::Parse), env::args_os())
    {
        return exit_with(message);
    }
    if error.use_stderr() {
        // A closed stderr causes no error of its own.
        let _ = error.print();
        return ExitStatus::BadInput.into();
    }
    write_stdout(|_| error.print()).into()
}

fn read(matches: &ArgMatches) -> Result<Invocation, String> {
    let (name, own_matches) = matches.subcommand().unwrap_or((DEFAULT_COMMAND, matches));
    let flags = Flags {
        before: matches,
        after: own_matches,
    };
    let subcommand = read_subcommand(name, own_matches, &flags)?;
    let scope = match &subcommand {
        Subcommand::Verify(args) => args.scope(),
        Subcommand::Serve(args) => args.scope(),
        _ => declared()
            .into_iter()
            .find(|declared| declared.command.get_name() == name)
            .map_or(Scope::NOTHING, |declared| declared.scope),
    };
    if let Subcommand::Completions(_) | Subcommand::Man(_) = subcommand {
        // A shell reads completions at its start, and must not fail on a variable that is meant for a service.
        refuse_meaningless(name, scope, &flags)?;
        return Ok(Invocation {
            subcommand,
            options: Options::default(),
        });
    }
    let flag = |name: &str| flags.value(name).map(str::to_owned);
    let mut options = Options::read(flag).map_err(|error| error.to_string())?;
    refuse_meaningless(name, scope, &flags).map_err(|message| match &subcommand {
        Subcommand::Verify(args) if !args.takes_sample() => {
            format!("{message}, and what applies only with --sample")
        }
        Subcommand::Serve(args) if !args.follows() => {
            format!("{message}, and what applies only with --follow")
        }
        _ => message,
    })?;
    options.demo = flags.demo();
    if options.demo && options.api_url.is_some() && scope.fetches() {
        return Err(
            "--demo starts an API of its own; leave out --api-url and INGEST_API_URL, or leave out --demo".to_owned(),
        );
    }
    Ok(Invocation {
        subcommand,
        options,
    })
}

/// Refuses the flag of a setting that does not apply. Without this it would have no effect and no message.
fn refuse_meaningless(command: &str, scope: Scope, flags: &Flags<'_>) -> Result<(), String> {
    let own = OPTIONS
        .iter()
        .map(|setting| (flag_name(setting), setting.heading));
    let engine = SETTINGS
        .iter()
        .map(|setting| (flag_name(setting), setting.heading));
    let mut given: Vec<_> = own
        .chain(engine)
        .filter(|(name, _)| flags.value(name).is_some())
        .collect();
    if flags.demo() {
        given.push((DEMO.to_owned(), Heading::Api));
    }
    match given
        .iter()
        .find(|(name, heading)| !scope.holds(name, *heading))
    {
        None => Ok(()),
        Some((name, _)) => Err(format!(
            "`--{name}` means nothing to `{command}`; leave it out. `hn-ingest {command} --help` shows what applies"
        )),
    }
}

fn read_subcommand(
    name: &str,
    matches: &ArgMatches,
    flags: &Flags<'_>,
) -> Result<Subcommand, String> {
    if let Some(list) = List::ALL.into_iter().find(|list| list.name() == name) {
        return Ok(Subcommand::List(list));
    }
    match name {
        "items" => ItemsArgs::read(matches).map(Subcommand::Items),
        "users" => UsersArgs::read(matches).map(Subcommand::Users),
        "backfill" => BackfillArgs::read(matches).map(Subcommand::Backfill),
        "follow" => FollowArgs::read(matches).map(Subcommand::Follow),
        "retry" => RetryArgs::read(matches).map(Subcommand::Retry),
        "verify" => VerifyArgs::read(matches).map(Subcommand::Verify),
        "copy" => CopyArgs::read(matches).map(Subcommand::Copy),
        "status" => Ok(Subcommand::Status),
        "search" => SearchArgs::read(matches).map(Subcommand::Search),
        "serve" => ServeArgs::read(matches).map(Subcommand::Serve),
        "tune" => TuneArgs::read(matches, flags).map(Subcommand::Tune),
        "mock-api" => MockApiArgs::read(matches).map(Subcommand::MockApi),
        "completions" => CompletionsArgs::read(matches).map(Subcommand::Completions),
        "man" => Ok(Subcommand::Man(ManArgs::read(matches))),
        other => Err(format!("`{other}` is not a command")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_before_and_after_the_command_count_and_the_last_of_two_wins() {
        for (line, workers, limit) in [
            ("top", None, None),
            ("--limit 2 top", None, Some("2")),
            ("--limit 2 top --limit 3", None, Some("3")),
            (
                "top --workers 1 --limit 2 --workers 4",
                Some("4"),
                Some("2"),
            ),
            ("--workers 5 --limit 6 --workers 7", Some("7"), Some("6")),
        ] {
            let words = std::iter::once("hn-ingest").chain(line.split_whitespace());
            let matches = command_line(Purpose::Parse)
                .try_get_matches_from(words)
                .expect(line);
            let after = matches.subcommand().map_or(&matches, |(_, own)| own);
            let flags = Flags {
                before: &matches,
                after,
            };
            assert_eq!(flags.value("workers"), workers, "{line}");
            assert_eq!(flags.value("limit"), limit, "{line}");
        }
    }
}
