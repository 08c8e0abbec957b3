//! Fills the database of `serve --demo` with made-up items while it is served.

use futures_util::stream;
use log::warn;

use super::{
    database::{self, connection},
    exit::CommandError,
    health::Health,
    id_stream_error::IdStreamError,
    options::{Options, ProgressMode},
    search::building::{BuildProgress, build_index},
    session::Session,
    tree::{Tree, TreeSink},
};
use crate::{
    hn::{HnSink, List, UserSink, UserSource, indexes, reads, search::content::Content},
    store::{any::AnyConnection, locks::while_locked},
};

/// The command as the table `runs` names it.
const COMMAND: &str = "serve";

/// The first items of each list, which its first page shows, are fetched before all others. This is their number.
const FIRST: usize = 30;

/// Profiles of as many authors are fetched. The made-up Hacker News has fewer.
const AUTHORS: usize = 10_000;

/// Fetches the lists, their items with everything below them, and the profiles of the authors. A signal ends it early.
pub(super) async fn fill(options: Options) {
    let options = Options {
        progress: ProgressMode::Never,
        metrics: None,
        ..options
    };
    if let Err(error) = try_to_fill(&options).await {
        warn!("the made-up items are not complete: {error}");
    }
}

async fn try_to_fill(options: &Options) -> Result<(), CommandError> {
    let mut session = Session::open_to_follow(options, Health::default()).await?;
    // Each item can be searched for as soon as it is stored.
    database::with_connection(&session.pool, build_indexes).await?;
    let roots = read_lists(&session).await?;
    let tree = Tree::new().map_err(CommandError::new)?;
    let sink = TreeSink::new(HnSink::new().over(), tree.clone());
    let error = IdStreamError::default();
    let ids = tree.ids(Box::pin(stream::iter(roots)), error.clone());
    let source = session.source.clone();
    drop(session.run_from(COMMAND, source, sink, ids).await?);
    if let Some(why) = error.message() {
        return Err(CommandError::new(why));
    }
    let pool = session.pool.clone();
    let authors = database::blocking(move || {
        reads::authors(&mut *connection(&pool)?, AUTHORS).map_err(CommandError::new)
    });
    let authors = stream::iter(authors.await?);
    let source = UserSource::new(session.source.clone());
    let sink = UserSink::new().over();
    drop(session.run_from(COMMAND, source, sink, authors).await?);
    Ok(())
}

fn build_indexes(conn: &mut AnyConnection) -> Result<(), CommandError> {
    let missing = while_locked(|| indexes::missing(conn)).map_err(CommandError::new)?;
    while_locked(|| indexes::build(conn, &missing, |_| {})).map_err(CommandError::new)?;
    build_index(conn, Content::Everything, &BuildProgress::default()).map(drop)
}

/// Reads and keeps the lists. Returns their ids: first the beginnings of all lists.
async fn read_lists(session: &Session<'_>) -> Result<Vec<i64>, CommandError> {
    let (mut first, mut others) = (Vec::new(), Vec::new());
    for list in List::ALL {
        let read = list.read(&session.client, &session.source).await;
        let ids = read.map_err(|error| session.explain(error))?;
        let (beginning, rest) = ids.split_at(ids.len().min(FIRST));
        first.extend_from_slice(beginning);
        others.extend_from_slice(rest);
        database::query(&session.pool, move |conn| list.keep(conn, &ids)).await?;
    }
    first.extend(others);
    Ok(first)
}
