//! `users`: fetch the profiles of the users who are named, or whom standard input holds.

use clap::{Arg, ArgAction, ArgMatches, Command};

use super::{
    exit::{CommandError, ExitStatus},
    ids::parse_user,
    named_ids::{NamedIds, run_named},
    options::Options,
    run_report::USERS,
    session::Session,
};
use crate::hn::{UserSink, UserSource};

const COMMAND: &str = USERS;

pub(super) struct UsersArgs {
    names: NamedIds<String>,
}

pub(super) fn command() -> Command {
    let names = Arg::new("NAME")
        .num_args(1..)
        .required(true)
        .action(ArgAction::Append)
        .help("Names of users; - alone reads them from standard input")
        .long_help("Names of users, or addresses such as https://news.ycombinator.com/user?id=pg; - alone reads them from standard input, separated by blanks or lines");
    Command::new(COMMAND)
        .about("Fetch the profiles of these users")
        .long_about("Fetch the profiles of these users into the table `users`.")
        .arg(names)
}

impl UsersArgs {
    pub(super) fn read(matches: &ArgMatches) -> Result<Self, String> {
        let names = NamedIds::read(matches, "NAME", parse_user)?;
        Ok(Self { names })
    }
}

pub(super) async fn run(options: &Options, args: UsersArgs) -> Result<ExitStatus, CommandError> {
    let mut session = Session::open(options).await?;
    let source = UserSource::new(session.source.clone());
    let sink = UserSink::new().over();
    run_named(
        &mut session,
        COMMAND,
        source,
        sink,
        args.names,
        |names, _| names,
    )
    .await
}
