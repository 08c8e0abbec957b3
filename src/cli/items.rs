//! `items`: fetch the items with the ids that are named, or that standard input holds.

use clap::{Arg, ArgAction, ArgMatches, Command};

use super::{
    exit::{CommandError, ExitStatus},
    ids::parse_item,
    named_ids::{NamedIds, run_named},
    options::Options,
    session::Session,
};
use crate::hn::HnSink;

const COMMAND: &str = "items";

pub(super) struct ItemsArgs {
    ids: NamedIds<i64>,
}

pub(super) fn command() -> Command {
    let ids = Arg::new("ID")
        .num_args(1..)
        .required(true)
        .action(ArgAction::Append)
        .allow_negative_numbers(true)
        .help("Ids of items; - alone reads them from standard input")
        .long_help("Ids of items, or addresses such as https://news.ycombinator.com/item?id=8863; - alone reads them from standard input, separated by blanks or lines");
    Command::new(COMMAND)
        .about("Fetch the items with these ids")
        .arg(ids)
}

impl ItemsArgs {
    pub(super) fn read(matches: &ArgMatches) -> Result<Self, String> {
        let ids = NamedIds::read(matches, "ID", parse_item)?;
        Ok(Self { ids })
    }
}

pub(super) async fn run(options: &Options, args: ItemsArgs) -> Result<ExitStatus, CommandError> {
    let mut session = Session::open(options).await?;
    let source = session.source.clone();
    run_named(&mut session, COMMAND, source, HnSink::new(), args.ids).await
}
