//! Commands that fetch what is named: the ids are arguments, or standard input holds them.

use std::{fmt::Display, io};

use clap::ArgMatches;
use diesel::SqliteConnection;
use futures_util::stream;
use serde::Serialize;

use super::{
    exit::{CommandError, ExitStatus},
    id_stream_error::IdStreamError,
    session::Session,
    stdin_ids,
    terminal::print_message,
};
use crate::ingest::{Sink, Source};

/// Reads an id. The error names the text and what is allowed.
pub(super) type ParseId<I> = fn(&str) -> Result<I, String>;

/// Where the ids come from.
pub(super) enum NamedIds<I> {
    Arguments(Vec<I>),
    Stdin(ParseId<I>),
}

impl<I> NamedIds<I> {
    /// Reads the positional arguments of this name.
    pub(super) fn read(
        matches: &ArgMatches,
        name: &str,
        parse: ParseId<I>,
    ) -> Result<Self, String> {
        let texts: Vec<&String> = matches.get_many(name).unwrap_or_default().collect();
        if texts == ["-"] {
            return Ok(Self::Stdin(parse));
        }
        if texts.iter().any(|text| *text == "-") {
            return Err("`-` is no id; - alone reads from standard input".to_owned());
        }
        let ids = texts.into_iter().map(|text| parse(text));
        ids.collect::<Result<_, _>>().map(Self::Arguments)
    }
}

/// Fetches what is named, and prints the report. Text on standard input that is no id ends the run after what came before it.
pub(super) async fn run_named<S, K>(
    session: &mut Session<'_>,
    command: &'static str,
    source: S,
    sink: K,
    ids: NamedIds<S::Id>,
) -> Result<ExitStatus, CommandError>
where
    S: Source,
    S::Id: Serialize + Display,
    K: Sink<Id = S::Id, Record = S::Record, Connection = SqliteConnection>,
{
    let parse = match ids {
        NamedIds::Arguments(ids) => {
            let ids = stream::iter(ids);
            let finished = session.run_from(command, source, sink, ids).await?;
            return Ok(finished.print(session));
        }
        NamedIds::Stdin(parse) => parse,
    };
    let error = IdStreamError::default();
    let ids = stdin_ids::stream(io::stdin(), parse, error.clone())?;
    let finished = session.run_from(command, source, sink, ids).await?;
    let status = finished.print(session);
    match error.message() {
        Some(message) if matches!(status, ExitStatus::Complete | ExitStatus::Incomplete) => {
            print_message(message);
            Ok(ExitStatus::BadInput)
        }
        _ => Ok(status),
    }
}
