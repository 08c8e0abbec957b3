//! `completions`: prints the script that lets a shell complete the commands and flags.

use clap::{Arg, ArgMatches, Command, builder::PossibleValuesParser};
use clap_complete::Shell;

use super::{
    exit::{CommandError, ExitStatus},
    terminal::write_stdout,
};

const SHELLS: [&str; 4] = ["bash", "zsh", "fish", "powershell"];

/// How clap_complete spells a program's name with a hyphen at one place of the script for bash, and how at all others. Without
/// mending it, no flag of a command is completed (GitHub: clap-rs/clap, issue 6421).
const MISSPELT_NAME: &str = "hn__subcmd__ingest";
const NAME: &str = "hn__ingest";

pub(super) struct CompletionsArgs(Shell);

pub(super) fn command() -> Command {
    Command::new("completions")
        .about("Print the completions of a shell")
        .after_long_help(
            "bash:        hn-ingest completions bash > ~/.local/share/bash-completion/completions/hn-ingest\n\
             zsh:         hn-ingest completions zsh > DIRECTORY/_hn-ingest, where DIRECTORY is in $fpath\n\
             fish:        hn-ingest completions fish > ~/.config/fish/completions/hn-ingest.fish\n\
             PowerShell:  hn-ingest completions powershell | Out-String | Invoke-Expression, in $PROFILE",
        )
        .arg(
            Arg::new("SHELL")
                .required(true)
                .value_parser(PossibleValuesParser::new(SHELLS)),
        )
}

impl CompletionsArgs {
    pub(super) fn read(matches: &ArgMatches) -> Result<Self, String> {
        let name = matches.get_one::<String>("SHELL");
        let name = name.map(String::as_str).unwrap_or_default();
        name.parse().map(Self)
    }
}

/// `command_line` has every command with the flags that apply to it.
pub(super) fn run(
    CompletionsArgs(shell): CompletionsArgs,
    mut command_line: Command,
) -> Result<ExitStatus, CommandError> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut command_line, "hn-ingest", &mut script);
    let mut script = String::from_utf8(script).map_err(CommandError::new)?;
    if shell == Shell::Bash {
        script = script.replace(MISSPELT_NAME, NAME);
    }
    Ok(write_stdout(|out| out.write_all(script.as_bytes())))
}
