//! `items`: fetch the items with the ids that are named, or that standard input holds.

use std::io;

use clap::{Arg, ArgMatches, Command};
use futures_util::stream;

use super::{
    exit::{CommandError, ExitStatus},
    id_stream_error::IdStreamError,
    ids::parse_id,
    options::Options,
    session::Session,
    stdin_ids,
    terminal::print_message,
};
use crate::hn::HnSink;

const COMMAND: &str = "items";

/// Where the ids come from.
pub(super) enum ItemsArgs {
    Named(Vec<i64>),
    Stdin,
}

pub(super) fn command() -> Command {
    let ids = Arg::new("ID")
        .num_args(1..)
        .required(true)
        .allow_negative_numbers(true)
        .help("Ids of items; - alone reads them from standard input, separated by blanks or lines");
    Command::new(COMMAND)
        .about("Fetch the items with these ids")
        .arg(ids)
}

impl ItemsArgs {
    pub(super) fn read(matches: &ArgMatches) -> Result<Self, String> {
        let texts: Vec<&String> = matches.get_many("ID").unwrap_or_default().collect();
        if texts == ["-"] {
            return Ok(Self::Stdin);
        }
        let ids = texts.into_iter().map(|text| {
            parse_id(text).ok_or_else(|| {
                format!(
                    "`{text}` is no id; an id is a whole number from 1, and - alone reads ids from standard input"
                )
            })
        });
        ids.collect::<Result<_, _>>().map(Self::Named)
    }
}

pub(super) async fn run(options: &Options, args: ItemsArgs) -> Result<ExitStatus, CommandError> {
    let mut session = Session::open(options).await?;
    match args {
        ItemsArgs::Named(ids) => {
            let finished = session
                .run(COMMAND, HnSink::new(), stream::iter(ids))
                .await?;
            Ok(finished.print(&session))
        }
        ItemsArgs::Stdin => fetch_from_stdin(&mut session).await,
    }
}

async fn fetch_from_stdin(session: &mut Session<'_>) -> Result<ExitStatus, CommandError> {
    let error = IdStreamError::default();
    let ids = stdin_ids::stream(io::stdin(), error.clone())?;
    let finished = session.run(COMMAND, HnSink::new(), ids).await?;
    let status = finished.print(session);
    match error.message() {
        Some(message) if matches!(status, ExitStatus::Complete | ExitStatus::Incomplete) => {
            print_message(message);
            Ok(ExitStatus::BadInput)
        }
        _ => Ok(status),
    }
}
