//! `retry`: fetch the ids in the table `failures` again.

use clap::{Arg, ArgMatches, Command};
use futures_util::{Stream, StreamExt, stream};

use super::{
    database,
    exit::{CommandError, ExitStatus},
    id_stream_error::IdStreamError,
    options::Options,
    session::Session,
    terminal::print_message,
};
use crate::{
    hn::{HnSink, failures},
    ingest::{FailureKind, UnknownKind},
    store::any::AnyPool,
};

const COMMAND: &str = "retry";

/// How many ids one query reads from the table.
const PAGE: i64 = 1000;

pub(super) struct RetryArgs {
    /// Only failures of these kinds are fetched again. If there are none, all are.
    kinds: Vec<FailureKind>,
}

pub(super) fn command() -> Command {
    let kinds = FailureKind::ALL
        .iter()
        .map(|kind| kind.as_str())
        .collect::<Vec<_>>()
        .join(", ");
    Command::new(COMMAND)
        .about("Fetch again the ids that failed")
        .long_about(
            "Fetch again the ids that failed. An id that succeeds leaves the table `failures`.",
        )
        .arg(
            Arg::new("kind")
                .long("kind")
                .value_name("KIND,…")
                .help("Only failures of these kinds")
                .long_help(format!("Only failures of these kinds: {kinds}")),
        )
}

impl RetryArgs {
    pub(super) fn read(matches: &ArgMatches) -> Result<Self, String> {
        let Some(text) = matches.get_one::<String>("kind") else {
            return Ok(Self { kinds: Vec::new() });
        };
        let kinds = text.split(',').map(|kind| kind.trim().parse());
        let kinds = kinds
            .collect::<Result<_, _>>()
            .map_err(|unknown: UnknownKind| format!("--kind: {unknown}"))?;
        Ok(Self { kinds })
    }
}

pub(super) async fn run(options: &Options, args: RetryArgs) -> Result<ExitStatus, CommandError> {
    // Without a database there is nothing to retry, and the session would create one.
    let (location, demo) = (options.database(), options.demo);
    database::blocking(move || database::require_existing(&location, demo)).await?;
    let mut session = Session::open(options).await?;
    let error = IdStreamError::default();
    let ids = failed_ids(session.pool.clone(), args.kinds, error.clone());
    let finished = session
        .run(COMMAND, HnSink::for_retry().over(), ids)
        .await?;
    let status = finished.print(&session);
    match error.message() {
        Some(message) => {
            print_message(format_args!(
                "the table failures cannot be read to its end: {message}; what was read is settled, so run retry again"
            ));
            Ok(ExitStatus::CouldNotGoOn)
        }
        None => Ok(status),
    }
}

/// The failed ids in ascending order. The table is read a page at a time, each page after the last id of the one before, so
/// that an id that fails again is not read again.
fn failed_ids(
    pool: AnyPool,
    kinds: Vec<FailureKind>,
    error: IdStreamError,
) -> impl Stream<Item = i64> + Send {
    let pages = stream::unfold(i64::MIN, move |after| {
        let pool = pool.clone();
        let kinds = kinds.clone();
        let error = error.clone();
        async move {
            let reading =
                database::query(&pool, move |conn| failures::page(conn, &kinds, after, PAGE));
            match reading.await {
                Ok(ids) => ids.last().copied().map(|last| (ids, last)),
                Err(CommandError(message)) => {
                    error.set(message);
                    None
                }
            }
        }
    });
    pages.flat_map(stream::iter)
}
