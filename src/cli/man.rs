//! `man`: prints the manual page of the program or of one command.

use clap::{Arg, ArgMatches, Command, builder::PossibleValuesParser};
use clap_mangen::Man;

use super::{
    exit::{CommandError, ExitStatus},
    suggestions::most_similar,
    terminal::write_stdout,
};

/// The command to describe; `None` is the whole program.
pub(super) struct ManArgs(Option<String>);

pub(super) fn command() -> Command {
    Command::new("man")
        .about("Print the manual page of hn-ingest, or of a command")
        .long_about("Print the manual page of hn-ingest, or of one of its commands. To read it: hn-ingest man | man -l -")
        .arg(Arg::new("COMMAND").help("The command to describe; without it, the whole program"))
}

/// The same command for completions: with the names that can be completed.
pub(super) fn with_command_names(command: Command, names: Vec<String>) -> Command {
    command.mut_arg("COMMAND", |arg| {
        arg.value_parser(PossibleValuesParser::new(names))
            .hide_possible_values(true)
    })
}

impl ManArgs {
    pub(super) fn read(matches: &ArgMatches) -> Self {
        Self(matches.get_one::<String>("COMMAND").cloned())
    }
}

/// `command_line` has every command with the flags that apply to it.
pub(super) fn run(
    ManArgs(name): ManArgs,
    mut command_line: Command,
) -> Result<ExitStatus, CommandError> {
    // Gives each command its full name.
    command_line.build();
    let command = match &name {
        Some(name) => find(&command_line, name)?,
        None => command_line,
    };
    let mut page = Vec::new();
    Man::new(command)
        .render(&mut page)
        .map_err(CommandError::new)?;
    Ok(write_stdout(|out| out.write_all(&page)))
}

fn find(command_line: &Command, name: &str) -> Result<Command, CommandError> {
    let found = command_line.find_subcommand(name).cloned();
    found.ok_or_else(|| {
        let known: Vec<_> = command_line
            .get_subcommands()
            .map(Command::get_name)
            .collect();
        CommandError(format!(
            "`{name}` is not a command; did you mean {}?",
            most_similar(&known, name)
        ))
    })
}
