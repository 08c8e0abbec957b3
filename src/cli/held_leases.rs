//! The leases that a run holds, as far as it knows. The stream of its ids and the renewal of its leases share them.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use crate::hn::{
    coverage::Range,
    leases::{Renewal, Search},
};

/// A lease that was not renewed for this long may end soon, so no more of its ids are handed out. (A lease lasts for a minute.)
const TRUSTED: Duration = Duration::from_secs(45);

/// The leases of one run.
#[derive(Clone, Debug)]
pub(super) struct HeldLeases(Arc<Mutex<State>>);

#[derive(Debug)]
struct State {
    /// What the run looks for.
    search: Search,
    leases: Vec<HeldLease>,
    /// When the leases were renewed last.
    renewed_at: Instant,
    /// Whether all ids that are left are held by others.
    waits_for_others: bool,
}

#[derive(Debug)]
struct HeldLease {
    range: Range,
    /// Whether all of its ids were handed out.
    is_handed_out: bool,
}

/// What a run knows about a lease.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Hold {
    /// It holds the lease.
    Firm,
    /// It could not renew the lease for a while.
    Doubtful,
    /// Another run has taken over.
    Lost,
}

impl HeldLeases {
    pub(super) fn new(search: Search) -> Self {
        Self(Arc::new(Mutex::new(State {
            search,
            leases: Vec::new(),
            renewed_at: Instant::now(),
            waits_for_others: false,
        })))
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A new lease.
    pub(super) fn add(&self, range: Range) {
        self.lock().leases.push(HeldLease {
            range,
            is_handed_out: false,
        });
    }

    pub(super) fn set_waits_for_others(&self, waits: bool) {
        self.lock().waits_for_others = waits;
    }

    /// Whether the run can do no more than wait for what others do.
    pub(super) fn waits_for_others(&self) -> bool {
        self.lock().waits_for_others
    }

    /// All leases that the run knows of.
    pub(super) fn ranges(&self) -> Vec<Range> {
        let state = self.lock();
        state.leases.iter().map(|lease| lease.range).collect()
    }

    pub(super) fn hold_of(&self, range: Range) -> Hold {
        let state = self.lock();
        if !state.leases.iter().any(|lease| lease.range == range) {
            Hold::Lost
        } else if state.renewed_at.elapsed() < TRUSTED {
            Hold::Firm
        } else {
            Hold::Doubtful
        }
    }

    /// All ids of the lease were handed out.
    pub(super) fn note_handed_out(&self, range: Range) {
        let mut state = self.lock();
        let lease = state.leases.iter_mut().find(|lease| lease.range == range);
        if let Some(lease) = lease {
            lease.is_handed_out = true;
        }
    }

    /// What is to be renewed.
    pub(super) fn begin_renewal(&self) -> Renewal {
        let state = self.lock();
        let with = |is_handed_out: bool| {
            let leases = state.leases.iter();
            leases
                .filter(|lease| lease.is_handed_out == is_handed_out)
                .map(|lease| lease.range)
                .collect()
        };
        Renewal {
            search: state.search.clone(),
            handed_out: with(true),
            being_handed_out: with(false),
        }
    }

    /// Keeps those of the leases to renew that the run still holds, which are `held`.
    pub(super) fn end_renewal(&self, renewal: &Renewal, held: &[Range]) {
        let mut state = self.lock();
        state.renewed_at = Instant::now();
        // A lease that was claimed meanwhile stays, too. It is in neither list.
        state.leases.retain(|lease| {
            held.contains(&lease.range) || !renewal.leases().any(|range| range == lease.range)
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hn::plan::Refetch;

    const FIRST: Range = Range { lo: 1, hi: 9 };
    const SECOND: Range = Range { lo: 10, hi: 19 };

    #[test]
    fn a_lease_that_another_run_has_taken_over_is_lost_and_one_claimed_meanwhile_is_not() {
        let within = Range { lo: 1, hi: 99 };
        let leases = HeldLeases::new(Search::new(within, Refetch::default(), false));
        leases.add(FIRST);
        let renewal = leases.begin_renewal();
        leases.add(SECOND);
        leases.end_renewal(&renewal, &[]);
        assert_eq!(leases.hold_of(FIRST), Hold::Lost);
        assert_eq!(leases.hold_of(SECOND), Hold::Firm);
    }
}
