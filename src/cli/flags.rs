//! The flags of the settings, as the command line gave them.

use clap::ArgMatches;

use super::scope::DEMO;

/// The flags of a command line. Each may stand before or after the command; the last one counts.
pub(super) struct Flags<'a> {
    pub(super) before: &'a ArgMatches,
    /// Those after the command. If no command is named, the same as `before`.
    pub(super) after: &'a ArgMatches,
}

impl Flags<'_> {
    /// The value of a setting's flag.
    pub(super) fn value(&self, name: &str) -> Option<&str> {
        let after = self.after.get_one::<String>(name);
        after
            .or_else(|| self.before.get_one::<String>(name))
            .map(String::as_str)
    }

    /// Whether `--demo` was given.
    pub(super) fn demo(&self) -> bool {
        self.before.get_flag(DEMO) || self.after.get_flag(DEMO)
    }
}
