//! Open files: every connection is one, and the limit that a shell sets as a rule, 1024, is a soft one that a program may raise.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Those that are no connection: standard streams, the database and what lies beside it, what the runtime needs.
const OTHERS: u64 = 64;

/// Of so many workers, for how many there can be connections. An embedded API holds the other end of each in this process, too.
pub(super) fn room_for(workers: usize, api_is_embedded: bool) -> usize {
    let each = 1 + usize::from(api_is_embedded);
    make_room_for(workers * each) / each
}

/// Raises the soft limit so that this many connections can be open, as far as the hard one lets it. Says how many of them can.
fn make_room_for(connections: usize) -> usize {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    let wanted = connections as u64 + OTHERS;
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
    usize::try_from(allowed.saturating_sub(OTHERS))
        .map_or(connections, |room| room.min(connections))
}
