//! `top` (the default), `new`, `best`, `ask`, `show` and `job`: fetch a list and its first items.

use clap::Command;
use futures_util::stream;

use super::{
    database,
    exit::{CommandError, ExitStatus},
    options::Options,
    session::Session,
};
use crate::hn::{HnSink, List};

pub(super) fn command(list: List) -> Command {
    Command::new(list.name()).about(match list {
        List::Top => "Fetch the top stories (the default)",
        List::New => "Fetch the newest stories",
        List::Best => "Fetch the best stories",
        List::Ask => "Fetch the Ask HN stories",
        List::Show => "Fetch the Show HN stories",
        List::Job => "Fetch the job stories",
    })
}

/// Reads a list, stores it whole, and fetches its first items.
pub(super) async fn run(options: &Options, list: List) -> Result<ExitStatus, CommandError> {
    let mut session = Session::open(options).await?;
    let read = list.read(&session.client, &session.source).await;
    let mut ids = read.map_err(|error| session.explain(error))?;
    let whole_list = ids.clone();
    let failed = "the list cannot be written to the database";
    database::query_or(failed, &session.pool, move |conn| {
        list.keep(conn, &whole_list)
    })
    .await?;
    options.limit.apply_to(&mut ids);
    let finished = session
        .run(list.name(), HnSink::new().over(), stream::iter(ids.clone()))
        .await?;
    Ok(finished.print_with_top(&session, &ids).await)
}
