//! `items`: fetch the items with the ids that are named, or that standard input holds.

use clap::{Arg, ArgAction, ArgMatches, Command};

use super::{
    exit::{CommandError, ExitStatus},
    ids::parse_item,
    named_ids::{NamedIds, run_named},
    options::Options,
    own_flags::switch,
    session::Session,
    tree::{Tree, TreeSink},
};
use crate::hn::HnSink;

const COMMAND: &str = "items";

pub(super) struct ItemsArgs {
    ids: NamedIds<i64>,
    /// Whether to fetch everything below the items, too.
    tree: bool,
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
        .arg(
            switch("tree", "Also fetch all answers below, and options of polls")
                .long_help("Also fetch everything below them, level by level: the answers, the answers to those, and the options of polls. Each id is fetched once."),
        )
}

impl ItemsArgs {
    pub(super) fn read(matches: &ArgMatches) -> Result<Self, String> {
        let ids = NamedIds::read(matches, "ID", parse_item)?;
        let tree = matches.get_flag("tree");
        Ok(Self { ids, tree })
    }
}

pub(super) async fn run(options: &Options, args: ItemsArgs) -> Result<ExitStatus, CommandError> {
    let mut session = Session::open(options).await?;
    let source = session.source.clone();
    if !args.tree {
        let sink = HnSink::new().over();
        return run_named(&mut session, COMMAND, source, sink, args.ids, |ids, _| ids).await;
    }
    let tree = Tree::new().map_err(CommandError::new)?;
    let sink = TreeSink::new(HnSink::new().over(), tree.clone());
    let with_tree = |roots, error| tree.ids(roots, error);
    run_named(&mut session, COMMAND, source, sink, args.ids, with_tree).await
}
