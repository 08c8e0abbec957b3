//! Commands that fetch what is named: the ids are arguments, or standard input holds them.

use std::{fmt::Display, io, pin::Pin};

use clap::ArgMatches;
use futures_util::{Stream, stream};
use serde::Serialize;

use super::{
    exit::{CommandError, ExitStatus},
    id_stream_error::IdStreamError,
    ids::ParseId,
    session::Session,
    stdin_ids,
    terminal::print_message,
};
use crate::{
    ingest::{Sink, Source},
    store::any::AnyConnection,
};

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
            return Err("`-` is no id; - alone reads ids from standard input".to_owned());
        }
        let ids = texts.into_iter().map(|text| parse(text));
        ids.collect::<Result<_, _>>().map(Self::Arguments)
    }
}

/// A list of ids as it comes.
pub(super) type Ids<I> = Pin<Box<dyn Stream<Item = I> + Send>>;

/// Fetches the ids that `extend` makes of the named ones, and prints the report. If `extend` ends them early, it sets the error. Text on
/// standard input that is no id ends the run after what came before it.
pub(super) async fn run_named<S, K>(
    session: &mut Session<'_>,
    command: &'static str,
    source: S,
    sink: K,
    ids: NamedIds<S::Id>,
    extend: impl FnOnce(Ids<S::Id>, IdStreamError) -> Ids<S::Id>,
) -> Result<ExitStatus, CommandError>
where
    S: Source,
    S::Id: Serialize + Display,
    K: Sink<Id = S::Id, Record = S::Record, Connection = AnyConnection>,
{
    let input_error = IdStreamError::default();
    let ids: Ids<S::Id> = match ids {
        NamedIds::Arguments(ids) => Box::pin(stream::iter(ids)),
        NamedIds::Stdin(parse) => {
            let ids = stdin_ids::stream(io::stdin(), parse, input_error.clone())?;
            Box::pin(ids)
        }
    };
    let error = IdStreamError::default();
    let ids = extend(ids, error.clone());
    let finished = session.run_from(command, source, sink, ids).await?;
    let status = finished.print(session);
    if !matches!(status, ExitStatus::Complete | ExitStatus::Incomplete) {
        return Ok(status);
    }
    if let Some(message) = error.message() {
        print_message(message);
        return Ok(ExitStatus::CouldNotGoOn);
    }
    if let Some(message) = input_error.message() {
        print_message(message);
        return Ok(ExitStatus::BadInput);
    }
    Ok(status)
}
