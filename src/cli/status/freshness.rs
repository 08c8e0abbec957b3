//! The lines of `status` about how fresh the mirror is.

use std::{
    io::{self, Write},
    time::Duration,
};

use crate::{
    hn::status::{FollowRun, Freshness},
    store::message::in_words,
};

pub(super) fn write_freshness(fresh: &Freshness, out: &mut dyn Write) -> io::Result<()> {
    if let Some(age) = fresh.newest_age {
        write!(out, "fresh     the newest item is {} old", duration(age))?;
        if let Some(read_at) = fresh.lists_read_at {
            let ago = duration(fresh.read_at.saturating_sub(read_at));
            write!(out, "; a list was read {ago} ago")?;
        }
        writeln!(out)?;
    }
    // A mirror that was never followed lacks most of this, and means to.
    let Some(follow) = &fresh.follow else {
        return Ok(());
    };
    write_follow(follow, fresh.read_at, out)?;
    if let Some(refreshes) = &fresh.refreshes {
        let more = if refreshes.is_at_least {
            " or more"
        } else {
            ""
        };
        write!(out, "  refreshes due: {}{more}", refreshes.due)?;
        if let Some(overdue) = refreshes.overdue {
            write!(out, ", one for {}", duration(overdue))?;
        }
        writeln!(out)?;
    }
    if let Some(ids) = fresh.newest_ids {
        writeln!(
            out,
            "  ids from {} on: {} absent, {} failed, {} never asked for",
            ids.first, ids.absent, ids.failed, ids.unknown
        )?;
    }
    Ok(())
}

fn write_follow(follow: &FollowRun, now: i64, out: &mut dyn Write) -> io::Result<()> {
    let heard = format!("heard of {} ago", duration(follow.silence));
    let state = match follow.finished_at {
        _ if follow.under_way => format!("is under way, {heard}"),
        Some(finished_at) => {
            let ago = duration(now.saturating_sub(finished_at));
            format!("is not under way; it ended {ago} ago")
        }
        None => format!("is not under way; it died, {heard}"),
    };
    writeln!(out, "follow    run {} {state}", follow.run)
}

/// Seconds in words. Less than none is none, as clocks may differ.
fn duration(seconds: i64) -> String {
    let seconds = u64::try_from(seconds).unwrap_or(0);
    in_words(Duration::from_secs(seconds))
}
