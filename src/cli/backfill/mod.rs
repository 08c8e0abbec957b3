//! `backfill`: fetch every id that is not settled yet, from 1 to the largest one.

mod args;
mod indexes;

use std::time::{Duration, Instant};

use self::args::COMMAND;
pub(super) use self::args::{BackfillArgs, command};
use super::{
    database,
    exit::{CommandError, ExitStatus},
    id_stream_error::IdStreamError,
    options::Options,
    session::Session,
    shared_ids::{Claimer, count_left, shared_ids},
    terminal::print_message,
};
use crate::hn::{
    HnSink,
    coverage::frontier,
    leases::{Search, answered_this_second},
    lists,
};

const SECOND: Duration = Duration::from_secs(1);

pub(super) async fn run(options: &Options, args: BackfillArgs) -> Result<ExitStatus, CommandError> {
    let mut session = Session::open(options).await?;
    let read = lists::max_item(&session.client, &session.source).await;
    let max_item = read.map_err(|error| session.explain(error))?;
    let range = args.range(max_item);
    let left = count_left(&session, range, args.again).await?;
    wait_for_a_new_second(&session).await?;
    let row = session.record_start(COMMAND, Some(range.hi)).await?;
    let search = Search::new(range, args.again, args.newest_first);
    let claimer = Claimer::new(&session, COMMAND, row, search);
    let leases = claimer.leases.clone();
    let error = IdStreamError::default();
    let ids = shared_ids(claimer, left, error.clone());
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
        let is_elsewhere = indexes::build(&session, max_item).await;
        // That process goes on with the search index.
        if let Some(content) = args.search_index.filter(|_| !is_elsewhere) {
            indexes::build_for_search(&session, max_item, content).await;
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
        let waits = database::query(&session.pool, |conn| answered_this_second(conn, COMMAND));
        if !waits.await? {
            break;
        }
        actix_rt::time::sleep(SECOND / 20).await;
    }
    Ok(())
}
