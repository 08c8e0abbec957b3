//! `follow`: keep the database true, until a signal comes.
//!
//! [`listener`] hears what the API announces. `hn::follow::intake` decides in which order that is read. [`fetch_runs`] reads
//! it: new ids, then what changes and what is due ([`refreshes`]), then the gap to what was stored before. [`follower`] brings them
//! together.

mod args;
mod standby;
mod feed;
mod monitor;
mod largest;
mod listener;
mod refreshes;
mod lists;
mod fetch_runs;
mod news;
mod status_display;
mod beginning;
mod follower;

pub(super) use self::args::{FollowArgs, command};
use self::follower::{Ended, Follower};
use super::{
    exit::{CommandError, ExitStatus},
    follow_metrics,
    health::Health,
    options::{Options, ProgressMode},
    service_manager::ServiceManager,
    session::Session,
    terminal::print_message,
};

/// Follows until a signal comes. `health` tells meanwhile whether that goes well.
pub(super) async fn run(
    options: &Options,
    args: FollowArgs,
    health: Health,
) -> Result<ExitStatus, CommandError> {
    let manager = ServiceManager::from_env();
    let mut options = options.clone();
    // It runs until it is stopped, so an API that is out is waited for.
    options.config.outage_patience = fetch_runs::PATIENCE;
    let session = Session::open_to_follow(&options, health).await?;
    follow_metrics::register();
    let max_item = largest::read(&session).await;
    // `serve` tries again, and silence that the API asked for is right.
    let cool_down = session.client.throttle().cool_down_rest();
    session.health.note_cool_down(cool_down);
    let max_item = max_item?;
    if let Some(from) = args.from.filter(|from| *from > max_item) {
        return Err(CommandError(format!(
            "--from is {from}, beyond the API's largest id, which is {max_item}; leave it out to begin with what is new"
        )));
    }
    let mut max_item = Some(max_item);
    let mut is_replaced = false;
    loop {
        let turn = standby::wait_for_turn(&session, &manager).await?;
        if turn.instead_of.is_some() || is_replaced {
            if session.options.progress != ProgressMode::Never {
                let before = turn.instead_of.as_deref().unwrap_or("another process");
                print_message(format_args!("this one follows now, in place of {before}"));
            }
            max_item = largest::read_to_take_over(&session).await;
        }
        let follower = Follower::begin(&session, &args, &manager, turn.row, max_item).await?;
        match follower.follow().await? {
            Ended::Finished(status) => return Ok(status),
            Ended::Replaced => {
                is_replaced = true;
                print_message(
                    "another process has taken over, because this one was silent for a minute; this one stands by",
                );
            }
        }
    }
}
