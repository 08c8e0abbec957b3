//! `man`: prints the manual page of the program or of one command.

use clap::{Arg, ArgMatches, Command};
use clap_mangen::Man;

use super::{
    args,
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

impl ManArgs {
    pub(super) fn read(matches: &ArgMatches) -> Result<Self, String> {
        let Some(name) = matches.get_one::<String>("COMMAND") else {
            return Ok(Self(None));
        };
        let command_line = args::described();
        let commands = command_line.get_subcommands().map(Command::get_name);
        let known: Vec<_> = commands.collect();
        if known.contains(&name.as_str()) {
            Ok(Self(Some(name.clone())))
        } else {
            Err(format!(
                "`{name}` is not a command; did you mean {}?",
                most_similar(&known, name)
            ))
        }
    }
}

pub(super) fn run(ManArgs(name): ManArgs) -> Result<ExitStatus, CommandError> {
    let mut command_line = args::described();
    // Gives each command its full name, and each its flags for help.
    command_line.build();
    let command = match &name {
        Some(name) => command_line.find_subcommand(name).cloned(),
        None => Some(command_line),
    };
    let Some(command) = command else {
        return Err(CommandError::new("there is no such command"));
    };
    let mut page = Vec::new();
    Man::new(command)
        .render(&mut page)
        .map_err(CommandError::new)?;
    if write_stdout(|out| out.write_all(&page)) {
        Ok(ExitStatus::Complete)
    } else {
        Ok(ExitStatus::Incomplete)
    }
}
