//! `follow`: keep the database true, until a signal comes.
//!
//! [`listener`] hears what the API announces. `hn::follow::intake` decides in which order that is read. [`runs`] reads it: new
//! ids, then what changes and what is due ([`refreshes`]), then the gap to what was stored before. [`follower`] brings them
//! together.

mod args;
mod standby;
mod feed;
mod monitor;
mod listener;
mod refreshes;
mod lists;
mod runs;
mod news;
mod view;
mod follower;

use std::time::Duration;

pub(super) use self::args::{FollowArgs, command};
use self::follower::{Ended, Follower};
use super::{
    exit::{CommandError, ExitStatus},
    follow_metrics,
    options::Options,
    service_manager::ServiceManager,
    session::Session,
    terminal::print_message,
};
use crate::hn::lists::max_item;

/// A month, which is the longest patience that the engine has.
const OUTAGE_PATIENCE: Duration = Duration::from_secs(30 * 86_400);

pub(super) async fn run(options: &Options, args: FollowArgs) -> Result<ExitStatus, CommandError> {
    let manager = ServiceManager::from_env();
    let mut options = options.clone();
    // It runs until it is stopped, so an API that is out is waited for.
    options.config.outage_patience = OUTAGE_PATIENCE;
    let session = Session::open_to_follow(&options).await?;
    follow_metrics::register();
    loop {
        let read = max_item(&session.client, &session.source).await;
        let newest = read.map_err(|error| session.explain(error))?;
        let row = standby::wait_for_turn(&session, &manager).await?;
        let follower = Follower::begin(&session, &args, &manager, row, newest).await?;
        match follower.follow().await? {
            Ended::Finished(status) => return Ok(status),
            Ended::Replaced => print_message(
                "another process has taken over, because this one was silent for a minute; this one stands by",
            ),
        }
    }
}
