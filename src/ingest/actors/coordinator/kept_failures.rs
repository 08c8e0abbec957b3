//! The failures that a run keeps: until it is clear whether the API or their ids are at fault, or until the backlog has room for
//! them. Also the ids that are tried again. Pure.
//!
//! | the failure | the API is at fault if | otherwise |
//! |---|---|---|
//! | unanswered: there was no usable answer ([`Blame::Outage`]) | an outage begins, or a long streak of failed attempts ends. Then the id is tried again | it counts as refused |
//! | refused: an answer without the record ([`Blame::Refusal`]) | `max_refusals` ids fail in a row. Then the run ends, and the id is not attempted | a later id is stored or absent, or no other id is in flight or at hand. Then the id is settled as failed |
//!
//! [`Blame::Outage`]: crate::ingest::limits::signal::Blame::Outage
//! [`Blame::Refusal`]: crate::ingest::limits::signal::Blame::Refusal

use std::{collections::VecDeque, mem};

use crate::ingest::{
    messages::NumberedRow,
    outcome::{answer::Answer, report::GaveUp},
};

/// When this many ids are kept for later, a further id that fails in an outage is settled as failed: memory stays bounded, and a
/// long range of ids that always fail does not hide the ids behind it. Probes need hours to get so far.
const DEFERRED_MAX: usize = 2000;

/// See the [module](self).
pub(super) struct KeptFailures<I> {
    /// Failures without a usable answer, of the present streak of failed attempts.
    pub(super) unanswered: Vec<NumberedRow<I>>,
    /// Whether that streak is long enough to doubt the API.
    pub(super) is_streak_long: bool,
    /// Refused ids, in the order of their answers. No id was stored or absent after the first of them.
    refused: VecDeque<NumberedRow<I>>,
    /// How many ids were refused in a row. Some may have left `refused` already.
    refused_in_a_row: usize,
    /// The run ends when this number of ids is refused in a row; 0 is never.
    max_refusals: usize,
    /// Failures that are to be committed. They wait for room in the backlog.
    pub(super) final_failures: VecDeque<NumberedRow<I>>,
    /// Ids that failed because the API was out. They are tried again: as probes, or after all other ids.
    pub(super) deferred: VecDeque<I>,
}

impl<I> KeptFailures<I> {
    pub(super) fn new(max_refusals: usize) -> Self {
        Self {
            unanswered: Vec::new(),
            is_streak_long: false,
            refused: VecDeque::new(),
            refused_in_a_row: 0,
            max_refusals,
            final_failures: VecDeque::new(),
            deferred: VecDeque::new(),
        }
    }

    /// Keeps a failure without a usable answer. `is_streak_long` says whether enough attempts failed in a row to doubt the API.
    pub(super) fn keep_unanswered(&mut self, row: NumberedRow<I>, is_streak_long: bool) {
        self.is_streak_long |= is_streak_long;
        self.unanswered.push(row.without_permit());
    }

    /// The API is at fault for the failures without a usable answer. Their ids are tried again. Returns the numbers of their
    /// answers.
    pub(super) fn blame_outage(&mut self) -> Vec<u64> {
        self.is_streak_long = false;
        let mut numbers = Vec::with_capacity(self.unanswered.len());
        for row in self.unanswered.drain(..) {
            numbers.push(row.number);
            self.deferred.push_back(row.answered.id);
        }
        numbers
    }

    /// The API is not out, so its failures without a usable answer count as refused.
    pub(super) fn rule_out_outage(&mut self) {
        self.is_streak_long = false;
        for row in mem::take(&mut self.unanswered) {
            self.keep_refused(row);
        }
    }

    /// Keeps a failure of an id that the API refused.
    pub(super) fn keep_refused(&mut self, row: NumberedRow<I>) {
        let row = row.without_permit();
        if self.max_refusals == 0 {
            return self.final_failures.push_back(row);
        }
        self.refused_in_a_row += 1;
        let place = self
            .refused
            .partition_point(|kept| kept.number < row.number);
        self.refused.insert(place, row);
    }

    /// The id of answer `number` is stored or absent. Ids that were refused before it are at fault themselves.
    pub(super) fn served(&mut self, number: u64) {
        let before = self.refused.partition_point(|kept| kept.number < number);
        let at_fault = self.refused.drain(..before);
        self.final_failures.extend(at_fault);
        self.refused_in_a_row = self.refused.len();
    }

    /// Refused ids need not wait for a later id any more: they are at fault.
    pub(super) fn blame_refused_ids(&mut self) {
        self.final_failures.append(&mut self.refused);
    }

    /// Whether enough ids were refused in a row to end the run. An id that is not committed yet may still break the row.
    pub(super) fn is_refused_too_often(&self) -> bool {
        self.max_refusals > 0 && self.refused_in_a_row >= self.max_refusals
    }

    /// How many ids were refused in a row, and how the last of them failed, as a reason to end the run.
    pub(super) fn refusals(&self) -> Option<GaveUp> {
        let last = &self.refused.back()?.answered;
        let Answer::Failed(last_failure, _) = &last.answer else {
            return None;
        };
        Some(GaveUp::ApiRefuses {
            ids: self.refused_in_a_row,
            last_failure: last_failure.clone(),
        })
    }

    /// Whether one more id can be kept for later.
    pub(super) fn can_defer(&self) -> bool {
        self.deferred.len() < DEFERRED_MAX
    }

    /// Drops the failures that the API may be at fault for. Returns how many there were.
    pub(super) fn drop_doubtful(&mut self) -> usize {
        self.unanswered.drain(..).count() + self.refused.drain(..).count()
    }

    /// Drops the failures that were to be committed. Returns how many there were.
    pub(super) fn drop_final(&mut self) -> usize {
        self.final_failures.drain(..).count()
    }

    /// Whether failures are kept that are neither settled nor to be tried again.
    pub(super) fn has_failures(&self) -> bool {
        let kept = self.unanswered.len() + self.refused.len() + self.final_failures.len();
        kept > 0
    }
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use super::*;
    use crate::ingest::{
        backlog::RowPermit,
        limits::signal::Blame,
        outcome::{
            answer::AnsweredId,
            failure::{Failure, FailureKind},
        },
    };

    /// A failure of the id with the same number.
    fn failure(number: u64) -> NumberedRow<u64> {
        NumberedRow {
            number,
            answered: AnsweredId {
                id: number,
                answer: Answer::Failed(
                    Failure::new(
                        FailureKind::Status,
                        format!("HTTP status 403 for {number}"),
                        1,
                    ),
                    Blame::Refusal,
                ),
                attempts: 1,
                received_at: SystemTime::now(),
                permit: RowPermit::default(),
            },
        }
    }

    fn final_ids(kept: &mut KeptFailures<u64>) -> Vec<u64> {
        let failures = kept.final_failures.drain(..);
        failures.map(|failure| failure.answered.id).collect()
    }

    fn deferred(kept: &mut KeptFailures<u64>) -> Vec<u64> {
        kept.deferred.drain(..).collect()
    }

    #[test]
    fn ids_that_fail_in_a_long_streak_are_tried_again_and_those_of_a_short_one_are_not() {
        let mut kept = KeptFailures::new(100);
        kept.keep_unanswered(failure(1), false);
        kept.keep_unanswered(failure(2), true);
        assert!(kept.is_streak_long && kept.has_failures());
        kept.blame_outage();
        kept.keep_unanswered(failure(3), false);
        assert!(!kept.is_streak_long);
        kept.rule_out_outage();
        kept.served(4);
        assert_eq!(deferred(&mut kept), [1, 2]);
        assert_eq!(final_ids(&mut kept), [3]);
        assert!(!kept.has_failures());
    }

    #[test]
    fn an_id_that_is_served_later_breaks_the_row_of_refusals_before_it() {
        let mut kept = KeptFailures::new(3);
        for number in [1, 2, 5] {
            kept.keep_refused(failure(number));
        }
        assert!(
            kept.is_refused_too_often(),
            "3 in a row, if 4 is not served"
        );
        kept.served(4);
        assert!(!kept.is_refused_too_often());
        assert_eq!(final_ids(&mut kept), [1, 2]);
        kept.keep_refused(failure(6));
        kept.keep_refused(failure(7));
        assert!(kept.is_refused_too_often());
        let Some(GaveUp::ApiRefuses { ids, last_failure }) = kept.refusals() else {
            panic!("ids were refused");
        };
        assert_eq!(ids, 3);
        assert_eq!(last_failure.message, "HTTP status 403 for 7");
        assert_eq!(kept.drop_doubtful(), 3);
    }

    #[test]
    fn answers_that_turn_out_to_be_refusals_later_take_their_place_in_the_row() {
        let mut kept = KeptFailures::new(3);
        kept.keep_refused(failure(5));
        kept.keep_refused(failure(2));
        kept.served(4);
        assert_eq!(final_ids(&mut kept), [2]);
        assert!(!kept.refused.is_empty());
    }

    #[test]
    fn refusals_that_are_settled_early_still_count_until_an_id_is_served() {
        let mut kept = KeptFailures::new(3);
        kept.keep_refused(failure(1));
        kept.keep_refused(failure(2));
        kept.blame_refused_ids();
        assert_eq!(final_ids(&mut kept), [1, 2]);
        kept.keep_refused(failure(3));
        assert!(kept.is_refused_too_often());
        kept.served(4);
        assert!(!kept.is_refused_too_often());
    }

    #[test]
    fn without_a_limit_a_refused_id_is_at_fault_at_once() {
        let mut kept = KeptFailures::new(0);
        for number in 0..500 {
            kept.keep_refused(failure(number));
        }
        assert!(!kept.is_refused_too_often());
        assert_eq!(final_ids(&mut kept).len(), 500);
    }

    #[test]
    fn two_thousand_ids_can_be_kept_for_later() {
        let mut kept = KeptFailures::new(100);
        for id in 0..2000 {
            assert!(kept.can_defer());
            kept.deferred.push_back(id);
        }
        assert!(!kept.can_defer());
    }
}
