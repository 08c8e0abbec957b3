//! `retry`: the ids in the table `failures` once more.

use std::sync::{Arc, OnceLock};

use clap::{Arg, ArgMatches, Command};
use futures_util::{Stream, StreamExt, stream};

use super::{
    Ending, Refusal,
    options::Options,
    output::complain,
    session::{self, Session},
};
use crate::{
    hn::{HnSink, failures},
    ingest::FailureKind,
    store::sqlite::SqlitePool,
};

const COMMAND: &str = "retry";

/// Ids of one look into the table.
const PAGE: i64 = 1000;

pub(super) struct RetryArgs {
    /// Empty: all kinds.
    kinds: Vec<FailureKind>,
}

pub(super) fn command() -> Command {
    let kinds = FailureKind::ALL.map(FailureKind::as_str).join(", ");
    Command::new(COMMAND)
        .about("Fetch the ids that failed once more; what succeeds leaves the table `failures`")
        .arg(
            Arg::new("kind")
                .long("kind")
                .value_name("KIND,…")
                .help(format!("Only failures of these kinds: {kinds}")),
        )
}

impl RetryArgs {
    pub(super) fn read(own: &ArgMatches) -> Result<Self, String> {
        let kinds = own.get_one::<String>("kind").map(|kinds| {
            let kinds = kinds.split(',').map(|kind| kind.trim().parse());
            kinds
                .collect::<Result<_, _>>()
                .map_err(|unknown: crate::ingest::UnknownKind| format!("--kind: {unknown}"))
        });
        let kinds = kinds.transpose()?.unwrap_or_default();
        Ok(Self { kinds })
    }
}

pub(super) async fn run(options: &Options, args: RetryArgs) -> Result<Ending, Refusal> {
    drop(session::open_existing(options)?);
    let mut session = Session::open(options).await?;
    let unreadable = Arc::new(OnceLock::new());
    let ids = failed_ids(session.pool.clone(), args.kinds, unreadable.clone());
    let done = session.ingest(COMMAND, HnSink::for_retry(), ids).await?;
    let ending = done.tell(&session, COMMAND, None);
    match unreadable.get() {
        Some(why) => {
            complain(format_args!(
                "the failures cannot be read to their end: {why}; what was read is settled, so run retry again"
            ));
            Ok(Ending::Broken)
        }
        None => Ok(ending),
    }
}

/// Read a page at a time, upwards, so that an id that fails again does not come again.
fn failed_ids(
    pool: SqlitePool,
    kinds: Vec<FailureKind>,
    unreadable: Arc<OnceLock<String>>,
) -> impl Stream<Item = i64> + Send {
    let page = move |after: i64| {
        let (pool, kinds) = (pool.clone(), kinds.clone());
        move || {
            let mut conn = session::connection(&pool)?;
            failures::page(&mut conn, &kinds, after, PAGE).map_err(Refusal::new)
        }
    };
    let pages = stream::unfold(i64::MIN, move |after| {
        let reading = actix_rt::task::spawn_blocking(page(after));
        let unreadable = unreadable.clone();
        async move {
            let read = reading
                .await
                .unwrap_or_else(|panic| Err(Refusal::new(panic)));
            match read {
                Ok(ids) => ids.last().copied().map(|last| (ids, last)),
                Err(Refusal(why)) => {
                    // It is set once: the stream ends here.
                    let _ = unreadable.set(why);
                    None
                }
            }
        }
    });
    pages.flat_map(stream::iter)
}
