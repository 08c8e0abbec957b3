//! The command line. The flags of the settings come from the settings' tables, so that each is declared once.

use std::{env, ffi::OsString, process::ExitCode};

use clap::{
    ArgMatches, Command,
    error::{ContextKind, ContextValue, ErrorKind},
};

use super::{
    backfill::{self, BackfillArgs},
    completions::{self, CompletionsArgs},
    copy::{self, CopyArgs},
    exit::ExitStatus,
    flags::Flags,
    follow::{self, FollowArgs},
    items::{self, ItemsArgs},
    list,
    man::{self, ManArgs},
    mock_api::{self, MockApiArgs},
    not_utf8,
    options::{OPTIONS, Options, flag_name},
    retry::{self, RetryArgs},
    scope::{DEMO, Scope},
    search::{self, SearchArgs},
    serve::{self, ServeArgs},
    setting_flags::{demo_flag, flags, with_values, wrapped, wrapped_about},
    status,
    suggestions::most_similar,
    terminal::{print_message, stdout_width, write_stdout},
    tune::{self, TuneArgs},
    users::{self, UsersArgs},
    verify::{self, VerifyArgs},
};
use crate::{
    hn::List,
    ingest::config::{Heading, SETTINGS},
};

/// The command if none is named.
const DEFAULT_COMMAND: &str = "top";

/// Help is at most as wide as this, because longer lines are hard to read.
const HELP_WIDTH: usize = 100;

const EXIT_CODES: &str = "Exit codes: 0 every id is stored or absent; 1 some ids failed, or verify found\n\
     a fault; 2 could not start; 3 could not go on; 130/143/129 interrupted.";

const LOG_VARIABLE: &str = "RUST_LOG sets what is logged to stderr [default: warn].";

/// The commands in the short help: those of one kind on a line.
const COMMAND_KINDS: [(&str, &str); 6] = [
    (
        "top, new, best, ask, show, job",
        "Fetch a list; top is the default",
    ),
    ("items, users", "Fetch what is named"),
    (
        "backfill, follow, retry",
        "Fetch every item; keep it true; fetch again",
    ),
    (
        "status, verify, copy, search",
        "Show, check, copy or search the database",
    ),
    (
        "serve, tune, mock-api",
        "Serve it; find a worker count; made-up items",
    ),
    (
        "completions, man, help",
        "Print completions, the manual, or help",
    ),
];

/// The settings in the short help of the whole program, next to `--demo`.
const ROOT_FLAGS: [&str; 4] = ["database", "limit", "workers", "rate"];

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

/// What a command line is built for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Purpose {
    /// To read arguments. Each command also takes, hidden, the flags of settings that mean nothing to it, so that the message can
    /// say so.
    Parse,
    /// To make completions and the manual.
    Describe,
    /// To show the short help, which should fit a screen of 24 lines: without headings, and for the whole program with a list of
    /// the commands that has several on a line.
    ShortHelp,
}

/// A command as it is declared, and the settings that apply to it.
struct Declared {
    command: Command,
    scope: Scope,
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

/// The command line as completions and the manual show it.
pub(super) fn described() -> Command {
    let names = declared().into_iter().map(|declared| declared.command);
    let names: Vec<_> = names.map(|command| command.get_name().to_owned()).collect();
    command_line(Purpose::Describe)
        .mut_subcommand("man", |command| man::with_command_names(command, names))
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

/// All commands, in the order in which help shows them.
fn declared() -> Vec<Declared> {
    let declare = |command, scope| Declared { command, scope };
    let lists = List::ALL.map(|list| declare(list::command(list), Scope::LIST));
    let others = [
        declare(items::command(), Scope::FETCH),
        declare(users::command(), Scope::FETCH),
        declare(backfill::command(), Scope::FETCH),
        declare(follow::command(), Scope::FOLLOW),
        declare(retry::command(), Scope::FETCH),
        declare(verify::command(), Scope::FETCH),
        declare(copy::command(), Scope::READ_ALL),
        declare(status::command(), Scope::READ),
        declare(search::command(), Scope::SEARCH),
        declare(serve::command(), Scope::SERVE_AND_FOLLOW),
        declare(tune::command(), Scope::TUNE),
        declare(mock_api::command(), Scope::NOTHING),
        declare(completions::command(), Scope::NOTHING),
        declare(man::command(), Scope::NOTHING),
    ];
    lists.into_iter().chain(others).collect()
}

fn command_line(purpose: Purpose) -> Command {
    let width = stdout_width().map_or(HELP_WIDTH, |width| width.min(HELP_WIDTH));
    let with_flags = |Declared { command, scope }| {
        let flags = flags(scope).into_iter().chain([demo_flag(scope)]);
        match purpose {
            Purpose::Parse => wrapped_about(command, width)
                .args(flags)
                .mut_args(|flag| wrapped(flag, width)),
            Purpose::ShortHelp => command.args(flags.map(|flag| flag.help_heading(None::<&str>))),
            Purpose::Describe => {
                let shown = flags.filter(|flag| !flag.is_hide_set());
                command.args(shown.map(with_values))
            }
        }
    };
    let root = Command::new("hn-ingest")
        .version(env!("CARGO_PKG_VERSION"))
        .about("Fetches Hacker News into a SQLite file, without losing an item.")
        .after_help(EXIT_CODES)
        .after_long_help(format!("{EXIT_CODES}\n{LOG_VARIABLE}"))
        .args_override_self(true);
    let root = with_flags(Declared {
        command: root,
        scope: Scope::LIST,
    });
    let root = root.subcommands(declared().into_iter().map(with_flags));
    match purpose {
        Purpose::ShortHelp => root
            .help_template("{about}\n\n{usage-heading} {usage}\n\n{before-help}Options:\n{options}{after-help}")
            .before_help(command_kinds())
            .mut_args(|flag| {
                let is_shown = flag.get_id() == DEMO || ROOT_FLAGS.contains(&flag.get_id().as_str());
                flag.hide_short_help(!is_shown)
            }),
        Purpose::Parse | Purpose::Describe => root,
    }
}

/// The commands, with those of one kind on a line.
fn command_kinds() -> String {
    let kinds = COMMAND_KINDS.map(|(names, meaning)| format!("\n  {names:30}  {meaning}"));
    format!("Commands:{}", kinds.concat())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        command_line(Purpose::Parse).debug_assert();
        command_line(Purpose::ShortHelp).debug_assert();
        described().debug_assert();
    }

    #[test]
    fn short_help_names_every_command() {
        let shown: Vec<_> = COMMAND_KINDS
            .iter()
            .flat_map(|(names, _)| names.split(", "))
            .collect();
        for Declared { command, .. } in declared() {
            assert!(shown.contains(&command.get_name()), "{command}");
        }
    }

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
