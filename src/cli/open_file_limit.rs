//! The limit of open files. Every connection is an open file.
//!
//! A shell usually sets a soft limit of 1024, which a program may raise up to the hard limit.

use log::warn;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use super::options::Options;

/// Open files that are not connections: standard streams, the database and the files beside it, the runtime's own.
const OTHER_FILES: u64 = 64;

/// As many workers as `options` asks for, or as the limit allows if that is fewer. Warns in the latter case.
pub(super) fn allowed_workers(options: &Options) -> usize {
    let wanted = options.config.workers;
    let allowed = raise_for(wanted, options.demo).max(1);
    if allowed < wanted {
        warn!(
            "the limit of open files allows the connections of {allowed} workers, not {wanted}, so {allowed} work; raise it with ulimit -n, or lower --workers"
        );
    }
    allowed
}

/// Raises the soft limit for this many workers, as far as possible, and says how many workers it then allows. Each worker needs
/// a connection. If the API is embedded, this process holds the other end of the connection too.
pub(super) fn raise_for(workers: usize, api_is_embedded: bool) -> usize {
    let files_per_worker = if api_is_embedded { 2 } else { 1 };
    let files = raise_to(workers * files_per_worker);
    files / files_per_worker
}

/// Raises the soft limit for this many connections, and says how many it then allows.
fn raise_to(connections: usize) -> usize {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    let wanted = connections as u64 + OTHER_FILES;
    let Some(current) = current.filter(|current| *current < wanted) else {
        return connections;
    };
    let raised = maximum.map_or(wanted, |maximum| wanted.min(maximum));
    let soft = Rlimit {
        current: Some(raised),
        maximum,
    };
    let allowed = match setrlimit(Resource::Nofile, soft) {
        Ok(()) => raised,
        Err(_) => current,
    };
    usize::try_from(allowed.saturating_sub(OTHER_FILES))
        .map_or(connections, |allowed| allowed.min(connections))
}
