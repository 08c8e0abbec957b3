//! The arguments of `follow`.

use clap::{Arg, ArgAction, ArgMatches, Command};

use crate::cli::ids::parse_id;

pub(super) const COMMAND: &str = "follow";

#[derive(Default)]
pub(in crate::cli) struct FollowArgs {
    /// The first id. `None` is where the mirror ends.
    pub(super) from: Option<i64>,
    /// Whether `item_history` keeps scores.
    pub(super) keeps_scores: bool,
}

pub(in crate::cli) fn command() -> Command {
    Command::new(COMMAND)
        .about("Keep the database true: read what is new and what changes")
        .long_about(
            "Keep the database true until it is stopped: read new items as they come, items and profiles that change, the lists, and each \
             item again at growing ages. It begins where the database ends, or at the newest item; `backfill` fetches what is older, also \
             at the same time. A second one on the same database stands by.",
        )
        .arg(
            Arg::new("from")
                .long("from")
                .value_name("N")
                .allow_hyphen_values(true)
                .help("The first id [default: behind the largest one stored]"),
        )
        .arg(
            Arg::new("score-history")
                .long("score-history")
                .action(ArgAction::SetTrue)
                .help("Keep scores and comment counts as they change"),
        )
}

impl FollowArgs {
    pub(in crate::cli) fn read(matches: &ArgMatches) -> Result<Self, String> {
        let from = match matches.get_one::<String>("from") {
            Some(text) => Some(
                parse_id(text)
                    .ok_or_else(|| format!("--from is `{text}`; allowed: a whole number from 1"))?,
            ),
            None => None,
        };
        Ok(Self {
            from,
            keeps_scores: matches.get_flag("score-history"),
        })
    }
}
