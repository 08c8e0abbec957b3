//! The flags of the settings, as help shows them for one command.

use clap::{Arg, ArgAction, Command, ValueHint, builder::PossibleValuesParser};

use super::{
    options::{OPTIONS, Options, flag_name},
    scope::{DEMO, Scope},
};
use crate::ingest::config::{Config, Heading, HttpProxy, SETTINGS, Setting};

/// The flags that most users need, with a text that fits a line of 80 columns. The short help (`-h`) shows no others, so that it
/// fits a screen.
const COMMON: [(&str, &str); 9] = [
    ("database", "SQLite file [default: hn.db]"),
    (
        "api-url",
        "Base URL of the API [default: that of Hacker News]",
    ),
    ("limit", "How many ids or results; 0 is all [default: 20]"),
    ("workers", "Most requests in flight [default: 16]"),
    (
        "rate",
        "Most requests per second; 0 is no limit [default: 0]",
    ),
    ("adaptive", "Follow what the API accepts [default: false]"),
    ("bind", "Address to serve at [default: 127.0.0.1:8080]"),
    ("format", "Report on stdout: text or json [default: text]"),
    ("progress", "Progress on stderr: auto, always or never"),
];

/// Long help is indented by this much.
const INDENT: usize = 10;

/// The flags of all settings. Those that do not apply are hidden.
pub(super) fn flags(scope: Scope) -> Vec<Arg> {
    let options = OPTIONS
        .iter()
        .map(|setting| setting_flag(setting, &Options::default(), scope));
    let defaults = Config {
        proxy: HttpProxy::from_env(),
        ..Config::default()
    };
    let engine = SETTINGS
        .iter()
        .map(|setting| setting_flag(setting, &defaults, scope));
    let mut flags: Vec<_> = options.chain(engine).collect();
    // Help shows the headings in the order in which they first come.
    flags.sort_by_key(|(heading, _)| *heading as u8);
    flags.into_iter().map(|(_, flag)| flag).collect()
}

/// The flag `--demo`, which has no variable.
pub(super) fn demo_flag(scope: Scope) -> Arg {
    let (heading, short, long) = if scope.fetches() {
        (
            Heading::Api,
            "Fetch from an API of made-up items; needs no network",
            "Start an API of made-up items on a free port of this machine and ingest from it; needs no network",
        )
    } else {
        let help = "The database of --demo, not that of real items";
        (Heading::Database, help, help)
    };
    Arg::new(DEMO)
        .long(DEMO)
        .action(ArgAction::SetTrue)
        .help_heading(heading.title())
        .hide(!scope.holds(DEMO, Heading::Api))
        .help(short)
        .long_help(long)
}

fn setting_flag<T>(setting: &Setting<T>, defaults: &T, scope: Scope) -> (Heading, Arg) {
    let meaning = setting.meaning;
    let variable = setting.variable;
    let default = (setting.show)(defaults);
    let name = flag_name(setting);
    let short = COMMON.iter().find(|(common, _)| *common == name);
    let long = format!("{meaning} [env: {variable}] [default: {default}]");
    let flag = Arg::new(name.clone())
        .long(name.clone())
        .allow_hyphen_values(true)
        .value_name(value_name(setting.name))
        .help_heading(setting.heading.title())
        .hide(!scope.holds(&name, setting.heading))
        .hide_short_help(short.is_none())
        .help(short.map_or(meaning, |(_, text)| text))
        .long_help(long);
    (setting.heading, flag)
}

/// What help shows in place of the value.
fn value_name(setting: &str) -> &'static str {
    match setting {
        "database" => "FILE",
        "api_url" | "proxy" => "URL",
        "metrics" | "bind" => "ADDRESS",
        "timeout" | "backoff" | "backoff_max" | "linger" | "drain" | "outage_patience" => "TIME",
        "max_body" => "SIZE",
        "adaptive" => "BOOL",
        "format" => "FORMAT",
        "progress" => "WHEN",
        _ => "N",
    }
}

/// The same flag with its long help broken into lines for a terminal of this width.
pub(super) fn wrapped(flag: Arg, width: usize) -> Arg {
    match flag.get_long_help() {
        Some(help) => {
            let help = wrap(&help.to_string(), width.saturating_sub(INDENT));
            flag.long_help(help)
        }
        None => flag,
    }
}

/// The same command with its long description broken into lines.
pub(super) fn wrapped_about(command: Command, width: usize) -> Command {
    match command.get_long_about().map(ToString::to_string) {
        Some(about) => {
            let lines = about.lines().map(|line| wrap(line, width));
            let about = lines.collect::<Vec<_>>().join("\n");
            command.long_about(about)
        }
        None => command,
    }
}

/// Breaks a text between words, but not within brackets. (clap does this only with another terminal crate.)
fn wrap(text: &str, width: usize) -> String {
    let mut wrapped = String::with_capacity(text.len());
    let mut column = 0;
    let mut is_in_brackets = false;
    let words = text.split(|c| {
        match c {
            '[' => is_in_brackets = true,
            ']' => is_in_brackets = false,
            _ => {}
        }
        c == ' ' && !is_in_brackets
    });
    for word in words {
        let length = word.chars().count();
        if column > 0 && column + 1 + length > width {
            wrapped.push('\n');
            column = 0;
        } else if column > 0 {
            wrapped.push(' ');
            column += 1;
        }
        wrapped.push_str(word);
        column += length;
    }
    wrapped
}

/// The same flag for completions: with the values that can be completed.
pub(super) fn with_values(flag: Arg) -> Arg {
    let values: &[&str] = match flag.get_id().as_str() {
        "format" => &["text", "json"],
        "progress" => &["auto", "always", "never"],
        "adaptive" => &["true", "false"],
        "database" => return flag.value_hint(ValueHint::FilePath),
        _ => return flag,
    };
    flag.value_parser(PossibleValuesParser::new(values.to_vec()))
        .hide_possible_values(true)
}
