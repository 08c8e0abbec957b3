//! The arguments of `follow`.

use clap::{ArgMatches, Command};

use crate::cli::own_flags::{flag, id_of_flag, switch};

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
            flag("from", "N", "The first id [default: behind the largest one stored]"),
        )
        .arg(switch("score-history", "Keep scores and comment counts as they change"))
}

impl FollowArgs {
    pub(in crate::cli) fn read(matches: &ArgMatches) -> Result<Self, String> {
        Ok(Self {
            from: id_of_flag(matches, "from")?,
            keeps_scores: matches.get_flag("score-history"),
        })
    }
}
