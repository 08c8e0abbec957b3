//! The command line as clap knows it: the commands, and the flags that each of them takes. The flags of the settings come from the
//! settings' tables, so that each is declared once.

use clap::Command;

use super::{
    backfill, completions, copy, follow, items, list, man, mock_api, retry,
    scope::{DEMO, Scope},
    search, serve,
    setting_flags::{demo_flag, flags, with_values, wrapped, wrapped_about},
    status,
    terminal::stdout_width,
    tune, users, verify,
};
use crate::hn::List;

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

/// What a command line is built for.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Purpose {
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
pub(super) struct Declared {
    pub(super) command: Command,
    pub(super) scope: Scope,
}

/// The command line as completions and the manual show it.
pub(super) fn described() -> Command {
    let names = declared().into_iter().map(|declared| declared.command);
    let names: Vec<_> = names.map(|command| command.get_name().to_owned()).collect();
    command_line(Purpose::Describe)
        .mut_subcommand("man", |command| man::with_command_names(command, names))
}

/// All commands, in the order in which help shows them.
pub(super) fn declared() -> Vec<Declared> {
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

pub(super) fn command_line(purpose: Purpose) -> Command {
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
}
