//! The message about an argument that is not UTF-8. clap's own does not say which one it is.

use std::ffi::OsString;

use clap::Command;

use crate::ingest::config::presentable;

/// What is allowed instead of a text that is not UTF-8.
pub(super) const ALLOWED: &str = "text in UTF-8, which this is not";

/// Names the first argument that is not UTF-8, and the flag whose value it is. `None` if all are UTF-8.
pub(super) fn message(
    command_line: &Command,
    args: impl Iterator<Item = OsString>,
) -> Option<String> {
    let mut before = String::new();
    for (number, arg) in args.enumerate().skip(1) {
        let text = arg.to_string_lossy();
        if arg.to_str().is_some() {
            before = text.into_owned();
            continue;
        }
        let (name, value) = match text
            .strip_prefix("--")
            .and_then(|flag| flag.split_once('='))
        {
            Some((flag, value)) => (format!("--{flag}"), value),
            None if takes_value(command_line, &before) => (before, &*text),
            None => (format!("argument {number}"), &*text),
        };
        return Some(format!(
            "{name} is `{}`; allowed: {ALLOWED}",
            presentable(value)
        ));
    }
    None
}

/// Whether the argument is a flag whose value is the next argument.
fn takes_value(command_line: &Command, arg: &str) -> bool {
    let Some(name) = arg.strip_prefix("--") else {
        return false;
    };
    let commands = command_line.get_subcommands().chain([command_line]);
    commands
        .flat_map(Command::get_arguments)
        .any(|flag| flag.get_long() == Some(name) && flag.get_action().takes_values())
}
