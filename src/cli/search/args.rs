//! The arguments of `search`.

use std::time::UNIX_EPOCH;

use clap::{Arg, ArgMatches, Command};

use crate::{
    cli::{
        ids::parse_user,
        own_flags::{flag, switch},
    },
    hn::search::{
        content::Content,
        filters::{Filters, NumberField, Operator, Tag},
        query::{SearchQuery, Syntax},
        request::Order,
    },
};

/// The types that `--type` takes, and what they mean.
const TYPES: [&str; 7] = ["story", "comment", "ask", "show", "job", "poll", "pollopt"];

const TIMES: &str =
    "a date such as 2020-01-31, a time such as 2020-01-31T12:00:00Z, or Unix seconds";

const DAY: i64 = 24 * 60 * 60;

pub(in crate::cli) struct SearchArgs {
    pub(super) task: SearchTask,
}

/// What the command is to do.
pub(super) enum SearchTask {
    Find(Wanted),
    /// Build the index. `anew`: drop an old one before.
    Build {
        content: Content,
        anew: bool,
    },
    Drop,
}

/// What is searched for.
pub(super) struct Wanted {
    /// As it was typed.
    pub(super) typed: String,
    pub(super) query: SearchQuery,
    pub(super) filters: Filters,
    pub(super) order: Order,
}

pub(in crate::cli) fn command() -> Command {
    let query = Arg::new("query")
        .value_name("QUERY")
        .num_args(0..)
        .help("Words, \"phrases\", -without, begin*, this OR that");
    let finds = ["query", "by", "type", "since", "until", "points", "by-date"];
    Command::new("search")
        .about("Find items by their words")
        .long_about(
            "Find items by their words. Needs no network, and an index, which a backfill builds at its end.\n\n\
             All words must be there, in the title, the text, the address or the author's name, in any order; case and accents do not \
             count. Titles with the words come first, those with more points before others, then everything else. The exit code is 0 \
             if nothing is found, too, and 2 if there is no index.",
        )
        .arg(query)
        .arg(flag("by", "NAME", "Only what this user wrote"))
        .arg(flag("type", "TYPE,…", "Only story, comment, ask, show, job, poll or pollopt"))
        .arg(flag("since", "TIME", "Only from this date or time on (UTC)"))
        .arg(flag("until", "TIME", "Only up to this date or time, inclusive (UTC)"))
        .arg(flag("points", "N", "Only what has at least N points"))
        .arg(switch("by-date", "The newest first"))
        .arg(
            switch("build", "Build the index, or go on with it")
                .conflicts_with_all(finds)
                .long_help("Build the index, or go on with it. Others may write to the database meanwhile. It may be stopped at any time"),
        )
        .arg(
            switch("rebuild", "Drop the index and build it anew")
                .hide_short_help(true)
                .conflicts_with_all(finds)
                .conflicts_with("build"),
        )
        .arg(
            switch("stories-only", "With --build: only titles and addresses")
                .conflicts_with_all(finds)
                .conflicts_with("drop")
                .long_help("With --build or --rebuild: an index of titles and addresses only, which is a thirtieth as large"),
        )
        .arg(
            switch("drop", "Drop the index")
                .hide_short_help(true)
                .conflicts_with_all(finds)
                .conflicts_with_all(["build", "rebuild"]),
        )
}

impl SearchArgs {
    pub(in crate::cli) fn read(matches: &ArgMatches) -> Result<Self, String> {
        let content = if matches.get_flag("stories-only") {
            Content::Stories
        } else {
            Content::Everything
        };
        let anew = matches.get_flag("rebuild");
        let task = if anew || matches.get_flag("build") {
            SearchTask::Build { content, anew }
        } else if matches.get_flag("drop") {
            SearchTask::Drop
        } else if content == Content::Stories {
            return Err(
                "--stories-only goes with --build or --rebuild; add one of them".to_owned(),
            );
        } else {
            SearchTask::Find(read_wanted(matches)?)
        };
        Ok(Self { task })
    }
}

fn read_wanted(matches: &ArgMatches) -> Result<Wanted, String> {
    let words = matches.get_many::<String>("query").into_iter().flatten();
    let typed = words.map(String::as_str).collect::<Vec<_>>().join(" ");
    let query = SearchQuery::parse(&typed, Syntax::Full).map_err(|error| error.to_string())?;
    let filters = read_filters(matches)?;
    if query.is_empty() && (filters.is_empty() || !typed.trim().is_empty()) {
        return Err(if typed.trim().is_empty() {
            "there is nothing to look for; name some words, or --by, --type, --since, --until or --points".to_owned()
        } else {
            "the query has no letter and no digit; name some words".to_owned()
        });
    }
    let order = if matches.get_flag("by-date") {
        Order::Date
    } else {
        Order::Relevance
    };
    Ok(Wanted {
        typed,
        query,
        filters,
        order,
    })
}

fn read_filters(matches: &ArgMatches) -> Result<Filters, String> {
    let value = |name: &str| matches.get_one::<String>(name).map(String::as_str);
    let mut filters = Filters::default();
    if let Some(text) = value("by") {
        let name = parse_user(text).map_err(|why| format!("--by: {why}"))?;
        filters.add_tag(Tag::Author(name));
    }
    if let Some(text) = value("type") {
        let types = text.split(',').map(|name| read_type(name.trim()));
        filters.tags.push(types.collect::<Result<_, _>>()?);
    }
    if let Some(text) = value("since") {
        let (from, _) = read_time("since", text)?;
        filters.add_number(NumberField::Time, Operator::AtLeast, from);
    }
    if let Some(text) = value("until") {
        let (_, to) = read_time("until", text)?;
        filters.add_number(NumberField::Time, Operator::AtMost, to);
    }
    if let Some(text) = value("points") {
        let points = text
            .parse()
            .map_err(|_| format!("--points is `{text}`; allowed: a whole number"))?;
        filters.add_number(NumberField::Points, Operator::AtLeast, points);
    }
    Ok(filters)
}

fn read_type(name: &str) -> Result<Tag, String> {
    match name {
        "ask" => Ok(Tag::AskHn),
        "show" => Ok(Tag::ShowHn),
        _ if TYPES.contains(&name) => Ok(Tag::Type(name.to_owned())),
        _ => Err(format!(
            "--type is `{name}`; allowed: {}, or several with commas",
            TYPES.join(", ")
        )),
    }
}

/// The first and the last second of what a text names.
fn read_time(flag: &str, text: &str) -> Result<(i64, i64), String> {
    if let Ok(seconds) = text.parse::<i64>() {
        // A year is no time, and a plain number of four digits is hardly meant as seconds.
        if text.len() != 4 {
            return Ok((seconds, seconds));
        }
    }
    let is_date = text.len() == "2020-01-31".len();
    let whole = if is_date {
        format!("{text} 00:00:00")
    } else {
        text.to_owned()
    };
    let time = humantime::parse_rfc3339_weak(&whole).ok();
    let since = time.and_then(|time| time.duration_since(UNIX_EPOCH).ok());
    let seconds = since.and_then(|since| i64::try_from(since.as_secs()).ok());
    match seconds {
        Some(seconds) if is_date => Ok((seconds, seconds + DAY - 1)),
        Some(seconds) => Ok((seconds, seconds)),
        None => Err(format!("--{flag} is `{text}`; allowed: {TIMES}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_dates_times_or_seconds() {
        for (text, expected) in [
            ("1970-01-02", Some((86_400, 172_799))),
            ("1970-01-02T00:00:05Z", Some((86_405, 86_405))),
            ("1970-01-02 00:00:05", Some((86_405, 86_405))),
            ("1577836800", Some((1_577_836_800, 1_577_836_800))),
            ("2020", None),
            ("yesterday", None),
            ("2020-13-01", None),
            ("", None),
        ] {
            assert_eq!(read_time("since", text).ok(), expected, "{text}");
        }
    }
}
