//! Builds the indexes at the end of a backfill, once nearly all ids are fetched.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use diesel::QueryResult;
use log::warn;

use crate::{
    cli::{
        database::{self, advice::indexes_are_owners},
        exit::CommandError,
        options::ProgressMode,
        progress::{ProgressDisplay, ProgressView},
        search::building::{self, BuildProgress},
        session::Session,
    },
    hn::{
        coverage::Range,
        indexes::{self, Building, Index},
        plan::{Refetch, RemainingIds},
        search::{content::Content, index::SearchIndex},
    },
    store::{any::AnyConnection, locks::while_locked},
};

/// The indexes are built when at most one in this many ids is still to be fetched. Earlier they would slow down every insert.
const INDEX_FRACTION: u64 = 20;

/// Builds the indexes that are missing, once nearly all ids are fetched. A failure makes queries slow and loses no data, so it
/// is only a warning. A signal ends the process. Returns whether another process is building them.
pub(super) async fn build(session: &Session<'_>, max_item: i64) -> bool {
    let missing = database::query(&session.pool, move |conn| missing_indexes(conn, max_item));
    let missing = missing.await.unwrap_or_default();
    if missing.is_empty() {
        return false;
    }
    let owner = database::query(&session.pool, indexes::owner_to_ask);
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
pub(super) async fn build_for_search(session: &Session<'_>, max_item: i64, content: Content) {
    let is_due = database::query(&session.pool, move |conn| {
        let index = SearchIndex::read(conn)?;
        let is_complete = index.is_some_and(|index| index.is_complete());
        Ok(!is_complete && is_nearly_complete(conn, max_item)?)
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
    ProgressDisplay::start_timed(mode, move |elapsed| {
        let done = begun.load(Ordering::Relaxed).saturating_sub(1);
        let name = indexes.get(done).map_or("", Index::name);
        ProgressView {
            position: done as u64,
            length: Some(indexes.len() as u64),
            parts: vec![
                format!("building index {} of {}", done + 1, indexes.len()),
                elapsed,
                name.to_owned(),
            ],
        }
    })
}
