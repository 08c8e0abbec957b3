//! The arguments of `backfill`.

use clap::{ArgMatches, Command};

use crate::{
    cli::{
        own_flags::{flag, id_of_flag, switch},
        terminal::print_message,
    },
    hn::{coverage::Range, plan::Refetch, search::content::Content},
};

pub(super) const COMMAND: &str = "backfill";

pub(in crate::cli) struct BackfillArgs {
    /// The first id; `None` is 1.
    from: Option<i64>,
    /// The last id; `None` is the largest one.
    to: Option<i64>,
    /// How many of the newest ids, instead of `from` and `to`.
    last: Option<i64>,
    pub(super) newest_first: bool,
    /// Which settled ids to fetch again.
    pub(super) again: Refetch,
    /// What the search index holds that is built at the end; `None` builds none.
    pub(super) search_index: Option<Content>,
}

pub(in crate::cli) fn command() -> Command {
    Command::new(COMMAND)
        .about("Fetch every item that is not in the database yet")
        .long_about("Fetch every item that is not in the database yet. It may be stopped and started again at any time.")
        .arg(flag("from", "N", "The first id [default: 1]"))
        .arg(flag("to", "N", "The last id [default: the largest one of the API]"))
        .arg(flag("last", "N", "Only the newest N ids").conflicts_with_all(["from", "to"]))
        .arg(switch("newest-first", "Start with the largest id and go down"))
        .arg(switch(
            "recheck-absent",
            "Also fetch again every id that was absent",
        ))
        .arg(switch("retry-failed", "Also fetch again every id that failed"))
        .arg(
            flag("search-index", "SET", "Search index built at the end: all, stories or none")
                .long_help(
                    "Search index built at the end, unless there is one: all, stories (titles and addresses only) or none [default: all]",
                ),
        )
}

impl BackfillArgs {
    pub(in crate::cli) fn read(matches: &ArgMatches) -> Result<Self, String> {
        let from = id_of_flag(matches, "from")?;
        let to = id_of_flag(matches, "to")?;
        if let (Some(from), Some(to)) = (from, to)
            && from > to
        {
            return Err(format!(
                "--from {from} is larger than --to {to}; swap them, or leave one out"
            ));
        }
        let what = matches.get_one::<String>("search-index");
        let search_index = match what.map(String::as_str) {
            None | Some("all") => Some(Content::Everything),
            Some("stories") => Some(Content::Stories),
            Some("none") => None,
            Some(other) => {
                return Err(format!(
                    "--search-index is `{other}`; allowed: all, stories or none"
                ));
            }
        };
        Ok(Self {
            search_index,
            from,
            to,
            last: id_of_flag(matches, "last")?,
            newest_first: matches.get_flag("newest-first"),
            again: Refetch {
                absent: matches.get_flag("recheck-absent"),
                failed: matches.get_flag("retry-failed"),
            },
        })
    }

    /// The ids to consider, cut at the largest one of the API. Prints a message if that cuts anything off.
    pub(super) fn range(&self, max_item: i64) -> Range {
        let lo = match self.last {
            Some(last) => max_item.saturating_sub(last).saturating_add(1).max(1),
            None => self.from.unwrap_or(1),
        };
        let last_named = self.to.unwrap_or(max_item).max(self.from.unwrap_or(1));
        if last_named > max_item {
            print_message(format_args!(
                "the API's largest id is {max_item}; no id beyond it is fetched"
            ));
        }
        let hi = last_named.min(max_item);
        Range { lo, hi }
    }
}
