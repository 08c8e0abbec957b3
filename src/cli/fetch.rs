//! The lists (`top`, the default, and its like) and `items`.

use std::io;

use futures_util::stream;

use super::{
    Ending, Refusal, args::IdArgs, options::Options, output::complain, session::Session, stdin_ids,
};
use crate::{
    hn::{HnSink, List},
    store::sqlite::while_locked,
};

/// Reads a list, keeps it, and fetches its first ids.
pub(super) async fn list(options: &Options, list: List) -> Result<Ending, Refusal> {
    let mut session = Session::open(options).await?;
    let reading = list.read(&session.client, &session.source);
    let read = session.signals.or_leave(reading).await;
    let mut ids = read.map_err(|error| session.unreachable(error))?;
    let mut conn = session.connection()?;
    while_locked(|| list.keep(&mut conn, &ids))
        .map_err(|error| Refusal(format!("the database cannot be written: {error}")))?;
    drop(conn);
    options.limit.cut(&mut ids);
    let done = session
        .ingest(list.name(), HnSink::new(), stream::iter(ids.clone()))
        .await?;
    Ok(done.tell(&session, list.name(), Some(&ids)))
}

/// Fetches the ids that are named, or those on standard input.
pub(super) async fn items(options: &Options, ids: IdArgs) -> Result<Ending, Refusal> {
    const COMMAND: &str = "items";
    let mut session = Session::open(options).await?;
    match ids {
        IdArgs::Named(ids) => {
            let done = session
                .ingest(COMMAND, HnSink::new(), stream::iter(ids))
                .await?;
            Ok(done.tell(&session, COMMAND, None))
        }
        IdArgs::Stdin => {
            let (ids, stopped) = stdin_ids::ids(io::stdin())?;
            let done = session.ingest(COMMAND, HnSink::new(), ids).await?;
            let ending = done.tell(&session, COMMAND, None);
            match stopped.why() {
                Some(why) if matches!(ending, Ending::Complete | Ending::Incomplete) => {
                    complain(why);
                    Ok(Ending::Refused)
                }
                _ => Ok(ending),
            }
        }
    }
}
