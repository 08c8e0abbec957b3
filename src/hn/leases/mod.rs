//! Leases: which ranges of ids a run works on. By them several processes share one backfill.
//!
//! A run claims a range with ids that are not settled ([`claim`]), renews its leases while it works, and gives each up when its
//! ids are settled ([`hold`]). A process that is killed, stopped or cut off renews nothing: its leases expire, and others claim
//! what it left. What it still commits later does no harm, because every write can be repeated. Times are those of the database's
//! clock.
//!
//! The process that follows the API has a lease, too, so that there is only one ([`role`]).

mod lease;
mod work;
mod search;
mod claim;
mod hold;
mod role;

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;

pub(crate) use self::{
    claim::{Claim, answered_this_second, claim},
    hold::{Renewal, renew, surrender},
    role::{FOLLOWER, Turn, begin_turn},
    search::{IdsInOrder, Search},
};
