//! `backfill`: fetch every id that is not settled yet, from 1 to the largest one.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use clap::{Arg, ArgAction, ArgMatches, Command};
use diesel::QueryResult;
use log::warn;

use super::{
    database::{self, advice::indexes_are_owners},
    exit::{CommandError, ExitStatus},
    held_leases::HeldLeases,
    id_stream_error::IdStreamError,
    ids::parse_id,
    options::{Options, ProgressMode},
    progress::{ProgressDisplay, ProgressView},
    search::building::{self, BuildProgress},
    session::Session,
    shared_ids::{Claimer, shared_ids},
    terminal::print_message,
};
use crate::{
    hn::{
        HnSink,
        coverage::{Range, frontier},
        indexes::{self, Building, Index},
        leases::{Search, answered_this_second},
        lists,
        plan::{Refetch, RemainingIds},
        search::{content::Content, index::SearchIndex},
    },
    store::{any::AnyConnection, locks::while_locked},
};

const COMMAND: &str = "backfill";

/// The indexes are built once at most one in this many ids is still to be fetched. Earlier they would slow down every insert.
const INDEX_FRACTION: u64 = 20;

const SECOND: Duration = Duration::from_secs(1);

pub(super) struct BackfillArgs {
    /// The first id; `None` is 1.
    from: Option<i64>,
    /// The last id; `None` is the largest one.
    to: Option<i64>,
    /// How many of the newest ids, instead of `from` and `to`.
    last: Option<i64>,
    newest_first: bool,
    /// Which settled ids to fetch again.
    again: Refetch,
    /// What the search index holds that is built at the end; `None` builds none.
    search_index: Option<Content>,
}

pub(super) fn command() -> Command {
    let number = |name: &'static str, help: &'static str| {
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
        .about("Fetch every item that is not in the database yet")
        .long_about("Fetch every item that is not in the database yet. It may be stopped and started again at any time.")
        .arg(number("from", "The first id [default: 1]"))
        .arg(number("to", "The last id [default: the largest one of the API]"))
        .arg(number("last", "Only the newest N ids").conflicts_with_all(["from", "to"]))
        .arg(switch("newest-first", "Start with the largest id and go down"))
        .arg(switch(
            "recheck-absent",
            "Also fetch again every id that was absent",
        ))
        .arg(switch("retry-failed", "Also fetch again every id that failed"))
        .arg(
            Arg::new("search-index")
                .long("search-index")
                .value_name("SET")
                .help("Search index built at the end: all, stories or none")
                .long_help(
                    "Search index built at the end, unless there is one: all, stories (titles and addresses only) or none [default: all]",
                ),
        )
}

impl BackfillArgs {
    pub(super) fn read(matches: &ArgMatches) -> Result<Self, String> {
        let number = |name: &str| match matches.get_one::<String>(name) {
            Some(text) => parse_id(text)
                .map(Some)
                .ok_or_else(|| format!("--{name} is `{text}`; allowed: a whole number from 1")),
            None => Ok(None),
        };
        let from = number("from")?;
        let to = number("to")?;
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
            last: number("last")?,
            newest_first: matches.get_flag("newest-first"),
            again: Refetch {
                absent: matches.get_flag("recheck-absent"),
                failed: matches.get_flag("retry-failed"),
            },
        })
    }

    /// The ids to consider, cut at the largest one of the API. Prints a message if that cuts anything off.
    fn range(&self, max_item: i64) -> Range {
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

pub(super) async fn run(options: &Options, args: BackfillArgs) -> Result<ExitStatus, CommandError> {
    let mut session = Session::open(options).await?;
    let read = lists::max_item(&session.client, &session.source).await;
    let max_item = read.map_err(|error| session.explain(error))?;
    let range = args.range(max_item);
    let left = database::with_connection(&session.pool, move |conn| {
        while_locked(|| RemainingIds::plan(conn, range, args.again)).map_err(|error| {
            CommandError(format!(
                "the database does not tell which ids are left: {error}"
            ))
        })
    })
    .await?;
    wait_for_a_new_second(&session).await?;
    let row = session.record_start(COMMAND, Some(range.hi)).await?;
    let search = Search::new(range, args.again, args.newest_first);
    let leases = HeldLeases::new(search.clone());
    let claimer = Claimer {
        pool: session.pool.clone(),
        process: session.process.clone(),
        command: COMMAND,
        row,
        search,
        leases: leases.clone(),
    };
    let error = IdStreamError::default();
    let ids = shared_ids(claimer, left.len(), error.clone());
    let sink = HnSink::with_coverage(frontier(max_item)).over();
    let source = session.source.clone();
    let finished = session
        .run_recorded(row, COMMAND, source, sink, ids, Some(leases))
        .await?;
    let status = finished.print(&session);
    if let Some(message) = error.message() {
        print_message(format_args!(
            "the ids that are left cannot be claimed: {message}; what was fetched is settled, so run backfill again"
        ));
        return Ok(ExitStatus::CouldNotGoOn);
    }
    if matches!(status, ExitStatus::Complete | ExitStatus::Incomplete) {
        let is_elsewhere = build_indexes(&session, max_item).await;
        // That process goes on with the search index.
        if let Some(content) = args.search_index.filter(|_| !is_elsewhere) {
            build_search_index(&session, max_item, content).await;
        }
    }
    Ok(status)
}

/// Waits until the answers of the runs before are from an earlier second. The tables know times in seconds, and an answer that is not
/// older than a run counts as the run's own.
async fn wait_for_a_new_second(session: &Session<'_>) -> Result<(), CommandError> {
    let began = Instant::now();
    // Another machine's clock may be ahead.
    while began.elapsed() < SECOND {
        let waits = database::with_connection(&session.pool, |conn| {
            while_locked(|| answered_this_second(conn, COMMAND)).map_err(CommandError::new)
        });
        if !waits.await? {
            break;
        }
        actix_rt::time::sleep(SECOND / 20).await;
    }
    Ok(())
}

/// Builds the indexes that are missing, once nearly all ids are fetched. A failure makes queries slow and loses no data, so it
/// is only a warning. A signal ends the process. Returns whether another process is building them.
async fn build_indexes(session: &Session<'_>, max_item: i64) -> bool {
    let missing = database::with_connection(&session.pool, move |conn| {
        while_locked(|| missing_indexes(conn, max_item)).map_err(CommandError::new)
    });
    let missing = missing.await.unwrap_or_default();
    if missing.is_empty() {
        return false;
    }
    let owner = database::with_connection(&session.pool, |conn| {
        while_locked(|| indexes::owner_to_ask(conn)).map_err(CommandError::new)
    });
    if let Ok(Some(owner)) = owner.await {
        warn!("{}", indexes_are_owners(&owner));
        return false;
    }
    session.print_note("building the indexes by parent, author, time, type and score; Ctrl-C leaves that to the next backfill");
    let begun = Arc::new(AtomicUsize::new(0));
    let display = display_building(session.options.progress, missing.clone(), begun.clone());
    let pool = session.pool.clone();
    // However long it takes.
    let built = database::blocking(move || {
        database::while_connecting(&pool, |conn| {
            let begin = |_: &Index| {
                begun.fetch_add(1, Ordering::Relaxed);
            };
            while_locked(|| indexes::build(conn, &missing, begin)).map_err(CommandError::new)
        })
    });
    let built = built.await;
    drop(display);
    match built {
        Ok(Building::Done) => false,
        Ok(Building::Elsewhere) => {
            session.print_note("another process is building the indexes");
            true
        }
        Err(error) => {
            warn!("the indexes cannot be built: {error}; the next backfill tries again");
            false
        }
    }
}

/// The indexes to build now. None as long as many ids are left.
fn missing_indexes(conn: &mut AnyConnection, max_item: i64) -> QueryResult<Vec<Index>> {
    if is_nearly_complete(conn, max_item)? {
        indexes::missing(conn)
    } else {
        Ok(Vec::new())
    }
}

fn is_nearly_complete(conn: &mut AnyConnection, max_item: i64) -> QueryResult<bool> {
    let everything = Range {
        lo: 1,
        hi: max_item,
    };
    let left = RemainingIds::plan(conn, everything, Refetch::default())?;
    Ok(left.len() as u64 <= everything.count() / INDEX_FRACTION)
}

/// Builds the search index, or goes on with one that was begun, once nearly all ids are fetched. As with the other indexes, a failure
/// is only a warning, and a signal ends the process.
async fn build_search_index(session: &Session<'_>, max_item: i64, content: Content) {
    let is_due = database::with_connection(&session.pool, move |conn| {
        let is_due = |conn: &mut AnyConnection| {
            let index = SearchIndex::read(conn)?;
            let is_complete = index.is_some_and(|index| index.is_complete());
            Ok::<_, diesel::result::Error>(!is_complete && is_nearly_complete(conn, max_item)?)
        };
        while_locked(|| is_due(conn)).map_err(CommandError::new)
    });
    if !is_due.await.unwrap_or(false) {
        return;
    }
    session.print_note("building the search index; Ctrl-C leaves the rest to the next backfill or to `hn-ingest search --build`");
    let progress = Arc::new(BuildProgress::default());
    let display = building::display(session.options.progress, progress.clone());
    let built = database::with_connection(&session.pool, move |conn| {
        building::build_index(conn, content, &progress)
    });
    let built = built.await;
    drop(display);
    if let Err(error) = built {
        warn!("{error}; the next backfill goes on with it");
    }
}

/// Shows which index is being built. SQLite does not say how far it is with one.
fn display_building(
    mode: ProgressMode,
    indexes: Vec<Index>,
    begun: Arc<AtomicUsize>,
) -> ProgressDisplay {
    let started = Instant::now();
    ProgressDisplay::start(mode, move || {
        let done = begun.load(Ordering::Relaxed).saturating_sub(1);
        let name = indexes.get(done).map_or("", Index::name);
        let seconds = Duration::from_secs(started.elapsed().as_secs());
        ProgressView {
            position: done as u64,
            length: Some(indexes.len() as u64),
            parts: vec![
                format!("building index {} of {}", done + 1, indexes.len()),
                humantime::format_duration(seconds).to_string(),
                name.to_owned(),
            ],
        }
    })
}
