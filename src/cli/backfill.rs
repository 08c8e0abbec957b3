//! `backfill`: every id that is not settled yet, from 1 to the largest there is.

use clap::{Arg, ArgAction, ArgMatches, Command};
use futures_util::{future::Either, stream};
use log::warn;

use super::{Ending, Refusal, id::parse_id, options::Options, output::complain, session::Session};
use crate::hn::{
    HnSink,
    coverage::{Range, frontier},
    indexes, lists,
    plan::{Refetch, RemainingIds},
};

const COMMAND: &str = "backfill";

pub(super) struct BackfillArgs {
    from: Option<i64>,
    to: Option<i64>,
    last: Option<i64>,
    newest_first: bool,
    again: Refetch,
}

pub(super) fn command() -> Command {
    let id = |name: &'static str, help: &'static str| {
        Arg::new(name)
            .long(name)
            .value_name("N")
            .allow_hyphen_values(true)
            .help(help)
    };
    let switch = |name: &'static str, help: &'static str| {
        Arg::new(name)
            .long(name)
            .action(ArgAction::SetTrue)
            .help(help)
    };
    Command::new(COMMAND)
        .about("Fetch every item that is not in the database yet; stop and start it at will")
        .arg(id("from", "The first id [default: 1]"))
        .arg(id("to", "The last id [default: the largest there is]"))
        .arg(id("last", "The newest N ids").conflicts_with_all(["from", "to"]))
        .arg(switch("newest-first", "From the largest id down"))
        .arg(switch(
            "recheck-absent",
            "Ask again for every id that the API had no item for",
        ))
        .arg(switch("retry-failed", "Ask again for every id that failed"))
}

impl BackfillArgs {
    pub(super) fn read(own: &ArgMatches) -> Result<Self, String> {
        let id = |name: &str| {
            let text = own.get_one::<String>(name);
            text.map(|text| {
                parse_id(text)
                    .ok_or_else(|| format!("--{name} is `{text}`; allowed: a whole number from 1"))
            })
            .transpose()
        };
        let (from, to, last) = (id("from")?, id("to")?, id("last")?);
        if let (Some(from), Some(to)) = (from, to)
            && from > to
        {
            return Err(format!(
                "--from {from} is past --to {to}; swap them, or leave one out"
            ));
        }
        Ok(Self {
            from,
            to,
            last,
            newest_first: own.get_flag("newest-first"),
            again: Refetch {
                absent: own.get_flag("recheck-absent"),
                failed: own.get_flag("retry-failed"),
            },
        })
    }

    /// The ids asked for, as far as there are any.
    fn within(&self, max_item: i64) -> Range {
        let lo = match self.last {
            Some(last) => max_item.saturating_sub(last).saturating_add(1).max(1),
            None => self.from.unwrap_or(1),
        };
        let asked = self.to.unwrap_or(max_item).max(self.from.unwrap_or(1));
        if asked > max_item {
            complain(format_args!(
                "the API's largest id is {max_item}; nothing beyond it is asked for"
            ));
        }
        let hi = asked.min(max_item);
        Range { lo, hi }
    }
}

pub(super) async fn run(options: &Options, args: BackfillArgs) -> Result<Ending, Refusal> {
    let mut session = Session::open(options).await?;
    let reading = lists::max_item(&session.client, &session.source);
    let read = session.signals.or_leave(reading).await;
    let max_item = read.map_err(|error| session.unreachable(error))?;
    let within = args.within(max_item);
    let left = RemainingIds::plan(&mut *session.connection()?, within, args.again)
        .map_err(|error| Refusal(format!("what is left cannot be planned: {error}")))?;
    let ids = match args.newest_first {
        true => Either::Left(stream::iter(left.rev())),
        false => Either::Right(stream::iter(left)),
    };
    let sink = HnSink::with_coverage(frontier(max_item));
    let done = session.ingest(COMMAND, sink, ids).await?;
    let ending = done.tell(&session, COMMAND, None);
    if matches!(ending, Ending::Complete | Ending::Incomplete) {
        build_indexes(&mut session, max_item).await;
    }
    Ok(ending)
}

/// Their lack makes queries slow and loses nothing, so it does not fail the run. As long as more than a twentieth of the ids is
/// still to come they are not built: that would slow down all of them.
async fn build_indexes(session: &mut Session<'_>, max_item: i64) {
    let mut conn = match session.connection() {
        Ok(conn) => conn,
        Err(why) => {
            return warn!("the indexes cannot be built: {why}; the next backfill tries again");
        }
    };
    let everything = Range {
        lo: 1,
        hi: max_item,
    };
    let missing = RemainingIds::plan(&mut conn, everything, Refetch::default()).and_then(|left| {
        let is_nearly_whole = left.len() as u64 <= everything.count() / 20;
        match is_nearly_whole {
            true => indexes::missing(&mut conn),
            false => Ok(Vec::new()),
        }
    });
    let missing = missing.unwrap_or_default();
    if missing.is_empty() {
        return;
    }
    session.say("building the indexes by parent, author, time, type and score; Ctrl-C leaves that to the next backfill");
    let building = actix_rt::task::spawn_blocking(move || indexes::build(&mut conn, &missing));
    match session.signals.or_leave(building).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => {
            warn!("the indexes cannot be built: {error}; the next backfill tries again");
        }
        Err(panic) => warn!("building the indexes panicked: {panic}"),
    }
}
