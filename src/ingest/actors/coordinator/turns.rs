//! Decides which run gives the next id to an idle fetcher. Pure.
//!
//! - The run with the highest priority comes first.
//! - Of equal ones, the run with the fewest ids at fetchers comes first: a run whose requests hang does not take the place of
//!   others.
//! - Of equal ones again, the run comes first that has waited longest. So runs whose requests take equally long take turns id by
//!   id.
//!
//! Runs of a lower priority never have all fetchers while one of a higher priority is open: one fetcher is left for each higher
//! priority with an open run, so that its next id does not wait for a request of the others. (With too few fetchers for that, the
//! lower priorities may still have one.)

use std::collections::{BTreeSet, VecDeque};

use crate::ingest::{messages::RunId, priority::Priority};

/// See the [module](self).
#[derive(Default)]
pub(super) struct Turns {
    /// Indexed by the priority.
    levels: [Level; Priority::ALL.len()],
}

/// The runs of one priority.
#[derive(Default)]
struct Level {
    /// Runs that may have an id at hand. The first one has waited longest.
    waiting: VecDeque<RunId>,
    /// Runs that may still hand out ids, now or later.
    open: BTreeSet<RunId>,
    /// How many fetchers work on ids of these runs.
    busy: usize,
}

impl Turns {
    fn level(&mut self, priority: Priority) -> &mut Level {
        &mut self.levels[priority.index()]
    }

    /// The run may have an id at hand. It waits behind the others of its priority, unless it waits already.
    pub(super) fn enqueue(&mut self, run: RunId, priority: Priority) {
        let waiting = &mut self.level(priority).waiting;
        if !waiting.contains(&run) {
            waiting.push_back(run);
        }
    }

    /// Whether the run waits for its turn.
    pub(super) fn is_waiting(&self, run: RunId, priority: Priority) -> bool {
        self.levels[priority.index()].waiting.contains(&run)
    }

    /// Takes the run whose turn it is, if there are `workers` fetchers and one of them is idle. `busy` says how many ids of a run
    /// are at fetchers.
    pub(super) fn next(&mut self, workers: usize, busy: impl Fn(RunId) -> usize) -> Option<RunId> {
        let highest_first = Priority::ALL.into_iter().rev();
        let mut waiting = highest_first.filter(|level| !self.level(*level).waiting.is_empty());
        let priority = waiting.next()?;
        if !self.may_have_one_more(priority, workers) {
            // Lower priorities do not get what this one may not have.
            return None;
        }
        let waiting = &mut self.level(priority).waiting;
        let without_any = waiting.iter().position(|run| busy(*run) == 0);
        let place = without_any.or_else(|| (0..waiting.len()).min_by_key(|at| busy(waiting[*at])));
        waiting.remove(place?)
    }

    /// Whether runs of this priority may have one more fetcher: enough are left for the higher ones.
    fn may_have_one_more(&self, priority: Priority, workers: usize) -> bool {
        let mut left_free = 0;
        for above in (priority.index() + 1..self.levels.len()).rev() {
            if !self.levels[above].open.is_empty() {
                left_free += 1;
                let below = &self.levels[..above];
                let busy: usize = below.iter().map(|level| level.busy).sum();
                if busy >= workers.saturating_sub(left_free).max(1) {
                    return false;
                }
            }
        }
        true
    }

    /// Says whether the run may still hand out ids. Returns whether that has just ended.
    pub(super) fn set_open(&mut self, run: RunId, priority: Priority, is_open: bool) -> bool {
        let open = &mut self.level(priority).open;
        if is_open {
            open.insert(run);
        }
        !is_open && open.remove(&run)
    }

    /// A fetcher works on an id of this priority.
    pub(super) fn begin_work(&mut self, priority: Priority) {
        self.level(priority).busy += 1;
    }

    /// A fetcher is done with an id of this priority.
    pub(super) fn end_work(&mut self, priority: Priority) {
        self.level(priority).busy -= 1;
    }

    /// The run has ended.
    pub(super) fn remove(&mut self, run: RunId, priority: Priority) {
        let level = self.level(priority);
        level.open.remove(&run);
        level.waiting.retain(|waiting| *waiting != run);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn runs(count: usize) -> Vec<RunId> {
        (0..count).map(|_| RunId::next()).collect()
    }

    fn count(given: &[RunId], run: RunId) -> usize {
        given.iter().filter(|given| **given == run).count()
    }

    /// Gives ids of these runs, which all have more, while a fetcher is idle. Returns the runs in the order of their turns.
    fn fill(turns: &mut Turns, priorities: &[(RunId, Priority)], workers: usize) -> Vec<RunId> {
        let mut given = Vec::new();
        while turns.levels.iter().map(|level| level.busy).sum::<usize>() < workers
            && let Some(run) = turns.next(workers, |run| count(&given, run))
        {
            let (_, priority) = priorities.iter().find(|(id, _)| *id == run).expect("known");
            turns.begin_work(*priority);
            turns.enqueue(run, *priority);
            given.push(run);
        }
        given
    }

    fn open(priorities: &[(RunId, Priority)]) -> Turns {
        let mut turns = Turns::default();
        for (run, priority) in priorities {
            turns.set_open(*run, *priority, true);
        }
        turns
    }

    #[test]
    fn runs_of_equal_priority_take_turns_and_a_higher_one_comes_first() {
        let [a, b, c] = runs(3)[..] else { panic!() };
        let equal = [(a, Priority::Normal), (b, Priority::Normal)];
        let mut turns = open(&equal);
        equal
            .iter()
            .for_each(|(run, priority)| turns.enqueue(*run, *priority));
        assert_eq!(fill(&mut turns, &equal, 4), [a, b, a, b]);
        turns.end_work(Priority::Normal);
        turns.set_open(c, Priority::High, true);
        turns.enqueue(c, Priority::High);
        assert_eq!(turns.next(4, |_| 0), Some(c));
    }

    #[test]
    fn a_run_whose_requests_hang_does_not_take_the_place_of_others() {
        let [hangs, quick] = runs(2)[..] else {
            panic!()
        };
        let mut turns = Turns::default();
        for _ in 0..100 {
            turns.enqueue(hangs, Priority::Normal);
            turns.enqueue(quick, Priority::Normal);
            let next = turns.next(4, |run| if run == hangs { 2 } else { 1 });
            assert_eq!(next, Some(quick));
        }
    }

    #[test]
    fn a_quiet_run_of_a_higher_priority_keeps_one_fetcher_free_and_a_closed_one_none() {
        let [live, refresh, backfill] = runs(3)[..] else {
            panic!()
        };
        for (workers, refresh_is_open, expected) in [
            (1, false, 1),
            (2, false, 1),
            (16, false, 15),
            (1, true, 1),
            (2, true, 1),
            (3, true, 1),
            (16, true, 14),
        ] {
            let all = [(live, Priority::High), (backfill, Priority::Low)];
            let mut turns = open(&all);
            turns.set_open(refresh, Priority::Normal, refresh_is_open);
            turns.enqueue(backfill, Priority::Low);
            assert_eq!(fill(&mut turns, &all, workers).len(), expected, "{workers}");
            turns.remove(refresh, Priority::Normal);
            assert!(turns.set_open(live, Priority::High, false));
            assert!(!turns.set_open(live, Priority::High, false));
            assert_eq!(fill(&mut turns, &all, workers).len(), workers - expected);
        }
    }

    /// What happens to the runs of a property.
    #[derive(Clone, Debug)]
    enum Step {
        /// The fetcher of the id at this place is done.
        Done(usize),
        /// The run at this place has no id at hand any more.
        Quiet(usize),
        /// The run at this place has ids at hand.
        Busy(usize),
    }

    fn steps() -> impl Strategy<Value = Vec<Step>> {
        let step = prop_oneof![
            6 => any::<usize>().prop_map(Step::Done),
            1 => any::<usize>().prop_map(Step::Quiet),
            1 => any::<usize>().prop_map(Step::Busy),
        ];
        prop::collection::vec(step, 0..200)
    }

    proptest! {
        #[test]
        fn none_starves_within_a_priority_and_a_higher_one_always_has_a_fetcher_left(
            levels in prop::collection::vec(0..Priority::ALL.len(), 1..8),
            workers in 3_usize..12,
            steps in steps(),
        ) {
            let ids = runs(levels.len());
            let priorities: Vec<_> = ids.iter().zip(&levels).map(|(id, level)| (*id, Priority::ALL[*level])).collect();
            let mut turns = open(&priorities);
            let mut has_ids = vec![true; ids.len()];
            let mut working: Vec<usize> = Vec::new();
            // How many ids others of its priority gave while the run had none at a fetcher.
            let mut overtaken = vec![0; ids.len()];
            for (run, priority) in &priorities {
                turns.enqueue(*run, *priority);
            }
            for step in steps {
                match step {
                    Step::Done(at) if !working.is_empty() => {
                        let run = working.swap_remove(at % working.len());
                        turns.end_work(priorities[run].1);
                    }
                    Step::Done(_) => {}
                    Step::Quiet(at) => has_ids[at % ids.len()] = false,
                    Step::Busy(at) => {
                        let at = at % ids.len();
                        has_ids[at] = true;
                        turns.enqueue(ids[at], priorities[at].1);
                    }
                }
                let place = |run| ids.iter().position(|id| *id == run).expect("known");
                while working.len() < workers {
                    let busy = |at| working.iter().filter(|working| **working == at).count();
                    let Some(run) = turns.next(workers, |run| busy(place(run))) else { break };
                    let at = place(run);
                    overtaken[at] = 0;
                    if !has_ids[at] {
                        continue;
                    }
                    let priority = priorities[at].1;
                    for (other, (id, others)) in priorities.iter().enumerate() {
                        if other == at || !has_ids[other] || !turns.is_waiting(*id, *others) {
                            continue;
                        }
                        prop_assert!(*others <= priority, "a higher one has ids");
                        if *others == priority {
                            prop_assert!(busy(at) <= busy(other), "the other one has fewer");
                            overtaken[other] += usize::from(busy(other) == 0);
                            prop_assert!(overtaken[other] < ids.len(), "starves");
                        }
                    }
                    turns.enqueue(run, priority);
                    turns.begin_work(priority);
                    working.push(at);
                }
                for above in Priority::ALL {
                    let is_open = priorities.iter().any(|(_, priority)| *priority == above);
                    let below = working.iter().filter(|run| priorities[**run].1 < above).count();
                    prop_assert!(!is_open || below < workers, "no fetcher is left");
                }
                // Without a reason to wait, no fetcher is idle while a run has ids.
                let highest = priorities.iter().map(|(_, priority)| *priority).max();
                let waits = priorities.iter().zip(&has_ids).any(|((_, priority), has)| *has && Some(*priority) == highest);
                prop_assert!(!waits || working.len() == workers);
            }
        }
    }
}
