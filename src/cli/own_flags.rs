//! The flags that belong to one command, unlike those of the settings.

use clap::{Arg, ArgAction, ArgMatches, builder::StyledStr};

use super::ids::parse_id;

/// A flag without a value.
pub(super) fn switch(name: &'static str, help: &'static str) -> Arg {
    Arg::new(name)
        .long(name)
        .action(ArgAction::SetTrue)
        .help(help)
}

/// A flag with a value. The value may begin with a hyphen: the command then says what it allows.
pub(super) fn flag(name: &'static str, value: &'static str, help: impl Into<StyledStr>) -> Arg {
    Arg::new(name)
        .long(name)
        .value_name(value)
        .allow_hyphen_values(true)
        .help(help.into())
}

/// The value of a flag that takes an id.
pub(super) fn id_of_flag(matches: &ArgMatches, name: &str) -> Result<Option<i64>, String> {
    let Some(text) = matches.get_one::<String>(name) else {
        return Ok(None);
    };
    let allowed = || format!("--{name} is `{text}`; allowed: a whole number from 1");
    parse_id(text).map(Some).ok_or_else(allowed)
}
