//! The ledger of a run: knows where each id of the run is, and counts the ids.

use std::{collections::VecDeque, mem, sync::Arc};

use actix::SpawnHandle;
use log::info;
use tokio::{sync::oneshot, time::Instant};
use tokio_util::sync::DropGuard;

use super::{
    id_stream::{IdStream, NextId},
    kept_failures::KeptFailures,
    outcome_log::OutcomeLog,
    unread_ids::{Next, UnreadIds},
};
use crate::ingest::{
    actors::arbiter::PipelineArbiter,
    handle::control::RunControl,
    messages::{Committed, FailedRow, NumberedRow, RunId, ServedRow, Start, StartRun},
    outcome::{
        answer::{AnsweredId, AttemptsSoFar},
        id_outcome::IdOutcome,
        panics::DisplayId,
        progress::Progress,
        report::{FAILURES_LISTED, FailedId, GaveUp, Report},
    },
    source::Id,
    stats::event::Event,
};

/// The ids of a run. Each is in one place at a time: unread, `ready`, at a fetcher, `set_aside`, `kept`, in Storage, or counted
/// as settled or not attempted. Nothing is kept of an id that is counted, but for the first failures. So memory does not grow
/// with the length of the run.
pub(super) struct RunLedger<I: Id> {
    /// Identifies the run in messages.
    pub(super) run: RunId,
    /// The stop signal, the recorder and the circuit breaker of the run.
    pub(super) control: Arc<RunControl>,
    /// Sends the report to the caller.
    report: oneshot::Sender<Report<I>>,
    /// When the run began.
    began: Instant,
    /// The ids that were not read yet.
    pub(super) unread: UnreadIds<I>,
    /// Ids that were read and wait for a fetcher.
    ready: VecDeque<I>,
    /// Ids that gave their fetcher to an id of a higher priority, with what was done for them.
    set_aside: VecDeque<(I, AttemptsSoFar)>,
    /// Failures that are not passed to Storage yet, and ids that are tried again later.
    pub(super) kept: KeptFailures<I>,
    /// How many ids were answered.
    answers: u64,
    /// Reports to the host what became of each id, if it wants to know.
    pub(super) outcomes: OutcomeLog<I>,
    /// Rows that Storage holds and has not committed.
    pub(super) in_storage: usize,
    /// Whether Storage got the message that no more rows are coming.
    is_flushed: bool,
    /// Whether a cancel or a shutdown stops the run.
    pub(super) is_interrupted: bool,
    /// Why the run cannot go on, if that ends it.
    gave_up: Option<GaveUp>,
    /// The first failures, for the report.
    failures: Vec<FailedId<I>>,
    /// When this is dropped with the ledger, the run's handles learn that the run has ended.
    _ended: DropGuard,
}

impl<I: Id> RunLedger<I> {
    /// Begins a run, which ends when the API refuses `max_refusals` ids in a row.
    pub(super) fn new(start_run: StartRun<I>, max_refusals: usize) -> Self {
        let StartRun { start, report } = start_run;
        let Start {
            run,
            ids,
            control,
            outcomes,
            ended,
            // The coordinator has taken it.
            feed: _,
        } = start;
        Self {
            run,
            report,
            began: Instant::now(),
            unread: UnreadIds::new(ids, &control.recorder),
            control,
            ready: VecDeque::new(),
            set_aside: VecDeque::new(),
            kept: KeptFailures::new(max_refusals),
            answers: 0,
            outcomes: OutcomeLog::new(outcomes),
            in_storage: 0,
            is_flushed: false,
            is_interrupted: false,
            gave_up: None,
            failures: Vec::new(),
            _ended: ended,
        }
    }

    /// The next id to hand out. One that gave way comes first. So there are never more of them than fetchers.
    pub(super) fn next(&mut self) -> Next<I> {
        if self.is_stopping() {
            return Next::Nothing;
        }
        if let Some((id, so_far)) = self.set_aside.pop_front() {
            return Next::Give(id, so_far);
        }
        if let Some(id) = self.ready.pop_front() {
            return Next::fresh(Some(id));
        }
        match self.unread.read(&self.control.recorder) {
            // The list may need long for its next id. A deferred id is there now.
            Next::Nothing => Next::fresh(self.kept.deferred.pop_front()),
            next => next,
        }
    }

    /// Reads ids until `waiting_max` of them wait for a fetcher. Returns the list if it must be waited for.
    pub(super) fn read_ahead(&mut self, waiting_max: usize) -> Option<IdStream<I>> {
        while self.ready.len() < waiting_max && !self.is_stopping() {
            match self.unread.read(&self.control.recorder) {
                Next::Give(id, _) => self.ready.push_back(id),
                Next::Await(ids) => return Some(ids),
                Next::Nothing => break,
            }
        }
        None
    }

    /// The wait for the list's next id is over.
    pub(super) fn list_is_back(&mut self, ids: IdStream<I>, next: NextId<I>) {
        let id = self.unread.take_back(ids, next, &self.control.recorder);
        self.ready.extend(id);
    }

    /// An id gave its fetcher to one of a higher priority.
    pub(super) fn set_aside(&mut self, id: I, so_far: AttemptsSoFar) {
        self.set_aside.push_back((id, so_far));
    }

    /// How many ids were read and wait for a fetcher.
    pub(super) fn waiting(&self) -> usize {
        self.ready.len() + self.set_aside.len()
    }

    /// Whether ids of the list may still be handed out.
    pub(super) fn expects_more_ids(&self) -> bool {
        (self.unread.may_have_ids() || self.waiting() > 0) && !self.is_stopping()
    }

    /// Gives an answered id its number. `copy` is a copy of the id, if there is one.
    pub(super) fn number(&mut self, answered: AnsweredId<I>, copy: Option<I>) -> NumberedRow<I> {
        self.answers += 1;
        let number = self.answers;
        self.outcomes.note_answered(number, copy);
        NumberedRow { number, answered }
    }

    /// Keeps an id for later that failed while the API was out.
    pub(super) fn defer(&mut self, row: NumberedRow<I>) {
        self.outcomes.forget(row.number);
        self.kept.deferred.push_back(row.answered.id);
    }

    /// The API is at fault for the failures without a usable answer. Their ids are tried again.
    pub(super) fn blame_outage(&mut self) {
        for number in self.kept.blame_outage() {
            self.outcomes.forget(number);
        }
    }

    /// The run ends without an answer for an id that was handed out.
    pub(super) fn count_unanswered(&mut self, id: I) {
        self.count_not_attempted(1);
        self.outcomes.report(id, IdOutcome::NotAttempted);
    }

    /// Ends the run because it cannot go on. The first reason goes into the report. Requests in flight are dropped, unless the
    /// API only asks for no new ones.
    pub(super) fn give_up(&mut self, why: GaveUp) {
        if let GaveUp::ApiAsksToWait { .. } = why {
            self.control.stop.stop();
        } else {
            self.control.stop.abort();
        }
        let mut not_attempted = self.kept.drop_doubtful();
        if why.is_about_storage() {
            not_attempted += self.kept.drop_final();
        }
        self.count_not_attempted(not_attempted as u64);
        self.gave_up.get_or_insert(why);
    }

    /// Storage died. It answers nothing more.
    pub(super) fn lose_storage(&mut self, why: GaveUp) {
        let lost = mem::take(&mut self.in_storage);
        self.count_not_attempted(lost as u64);
        self.give_up(why);
    }

    /// Whether the run has ended early because it could not go on.
    pub(super) fn has_given_up(&self) -> bool {
        self.gave_up.is_some()
    }

    /// Hands out no more ids. Returns the task that waits for the list, which the caller cancels.
    pub(super) fn interrupt(&mut self) -> Option<SpawnHandle> {
        self.is_interrupted = true;
        self.control.stop.stop();
        self.unread.stop()
    }

    /// Whether requests in flight may go on although no new ones start.
    pub(super) fn is_draining(&self) -> bool {
        self.control.stop.is_stopping() && !self.control.stop.is_aborted()
    }

    pub(super) fn has_lost_storage(&self) -> bool {
        self.gave_up.as_ref().is_some_and(GaveUp::is_about_storage)
    }

    /// A row was handed to Storage.
    pub(super) fn count_handed_over(&mut self) {
        self.in_storage += 1;
        self.is_flushed = false;
    }

    pub(super) fn count_not_attempted(&self, ids: u64) {
        self.control.recorder.record(Event::NotAttempted, ids);
    }

    /// Storage committed a batch, or part of it.
    pub(super) fn count_committed(&mut self, committed: Committed<I>) {
        let recorder = &self.control.recorder;
        let served = committed.served.len() as u64;
        let stored = committed.served.iter().filter(|row| row.is_stored).count() as u64;
        let failed = committed.failed.len() as u64;
        recorder.record_settled(stored, served - stored, failed, committed.records);
        recorder.record(Event::NotAttempted, committed.not_attempted as u64);
        // A Storage that died has reported none of its rows.
        self.in_storage = self.in_storage.saturating_sub(committed.rows());
        for row in committed.undecodable {
            self.keep_refused(row);
        }
        if let Some(number) = committed.served.iter().map(|row| row.number).max() {
            self.kept.served(number);
        }
        for ServedRow { number, is_stored } in committed.served {
            let outcome = if is_stored {
                IdOutcome::Stored
            } else {
                IdOutcome::Absent
            };
            self.outcomes.report_answered(number, outcome);
        }
        for FailedRow {
            number,
            id,
            failure,
        } in committed.failed
        {
            info!("{}: failed: {failure}", DisplayId(&id));
            if self.failures.len() < FAILURES_LISTED {
                self.outcomes
                    .report_answered(number, IdOutcome::Failed(failure.clone()));
                self.failures.push(FailedId::new(id, failure));
            } else {
                self.outcomes.forget(number);
                self.outcomes.report(id, IdOutcome::Failed(failure));
            }
        }
    }

    /// Keeps a failure of an id that the API refused. A run that gave up leaves the id to the next run.
    pub(super) fn keep_refused(&mut self, row: NumberedRow<I>) {
        if self.has_given_up() {
            self.count_not_attempted(1);
        } else {
            self.kept.keep_refused(row);
        }
    }

    /// Whether there is an id to hand out now. There may be one later, even if there is none now.
    pub(super) fn has_ids_at_hand(&self) -> bool {
        self.has_ids() && (self.waiting() > 0 || !self.unread.is_awaited())
    }

    /// Whether no more ids are handed out, even if there are some.
    fn is_stopping(&self) -> bool {
        self.is_interrupted || self.has_given_up()
    }

    /// Whether there are ids to hand out.
    pub(super) fn has_ids(&self) -> bool {
        let has_ids = self.waiting() + self.kept.deferred.len() > 0 || !self.unread.has_ended();
        has_ids && !self.is_stopping()
    }

    /// Whether Storage must get the message that no more rows are coming. Returns `true` only once until more rows come.
    pub(super) fn needs_flush(&mut self) -> bool {
        self.in_storage > 0 && !mem::replace(&mut self.is_flushed, true)
    }

    /// Ends the run after [`UnreadIds::stop`]: counts the ids that were never handed out, and sends the report. Returns
    /// the totals. `arbiter` lives until the host has read what became of all ids.
    pub(super) fn finish(mut self, arbiter: PipelineArbiter) -> Progress {
        let kept = self.waiting() + self.kept.deferred.len();
        self.count_not_attempted(self.unread.counted + kept as u64);
        let set_aside = self.set_aside.into_iter().map(|(id, _)| id);
        let read = self.ready.into_iter().chain(set_aside);
        read.chain(self.kept.deferred)
            .for_each(|id| self.outcomes.report(id, IdOutcome::NotAttempted));
        let list_failed = self.unread.failed.take();
        self.outcomes.finish(self.unread.into_rest(), arbiter);
        self.control.recorder.record_run_end();
        let report = Report {
            totals: self.control.recorder.progress(),
            elapsed: self.began.elapsed(),
            interrupted: self.is_interrupted,
            gave_up: self.gave_up,
            list_failed,
            failures: self.failures,
        };
        let totals = report.totals.clone();
        // This fails if the host has dropped the run's handle.
        let _ = self.report.send(report);
        totals
    }
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use futures_util::{StreamExt, stream};

    use super::*;
    use crate::ingest::{
        backlog::RowPermit,
        outcome::{
            answer::Answer,
            failure::{Failure, FailureKind},
        },
    };

    fn ledger(start: Start<i64>) -> RunLedger<i64> {
        let (report, _) = oneshot::channel();
        RunLedger::new(StartRun { start, report }, 100)
    }

    /// Hands out ids until there is none at hand.
    fn hand_out(ledger: &mut RunLedger<i64>) -> Vec<i64> {
        let mut ids = Vec::new();
        while let Next::Give(id, _) = ledger.next() {
            ids.push(id);
        }
        ids
    }

    fn refused(number: u64, id: i64) -> NumberedRow<i64> {
        NumberedRow {
            number,
            answered: AnsweredId {
                id,
                answer: Answer::panicked("refused".to_owned(), 1),
                attempts: 1,
                received_at: SystemTime::now(),
                permit: RowPermit::default(),
            },
        }
    }

    fn assert_adds_up(totals: &Progress) {
        assert_eq!(
            totals.requested,
            totals.settled() + totals.not_attempted,
            "{totals:?}"
        );
    }

    #[test]
    fn ids_that_were_read_ahead_come_first_and_deferred_ones_last() {
        let mut ledger = ledger(Start::list(1..=5));
        ledger.kept.deferred.push_back(20);
        assert!(ledger.read_ahead(2).is_none());
        assert_eq!(ledger.waiting(), 2);
        assert_eq!(hand_out(&mut ledger), [1, 2, 3, 4, 5, 20]);
    }

    #[test]
    fn a_run_ends_with_every_id_counted_wherever_it_is() {
        let mut ledger = ledger(Start::list(1..=100));
        for _ in 0..10 {
            ledger.next();
        }
        ledger.count_handed_over();
        ledger.count_handed_over();
        ledger.count_handed_over();
        ledger.count_committed(Committed {
            served: vec![ServedRow {
                number: 1,
                is_stored: true,
            }],
            failed: vec![FailedRow {
                number: 2,
                id: 2,
                failure: Failure::new(FailureKind::Status, "404", 1),
            }],
            ..Committed::nothing(ledger.run)
        });
        assert!(ledger.read_ahead(2).is_none());
        ledger.set_aside(7, AttemptsSoFar::default());
        ledger.kept.deferred.push_back(5);
        ledger.keep_refused(refused(4, 6));
        // Of the ten that were handed out, four are still at fetchers. They come back without an answer.
        ledger.count_not_attempted(4);
        ledger.lose_storage(GaveUp::StorageLost("the disk is full".to_owned()));
        ledger.unread.stop();
        let totals = ledger.finish(PipelineArbiter::current());
        assert_eq!((totals.stored, totals.failed), (1, 1));
        assert_adds_up(&totals);
    }

    #[test]
    fn storage_is_told_once_that_no_more_rows_are_coming_and_again_after_more() {
        let mut ledger = ledger(Start::list([]));
        assert!(!ledger.needs_flush(), "there is nothing to write");
        ledger.count_handed_over();
        assert!(ledger.needs_flush() && !ledger.needs_flush());
        ledger.count_handed_over();
        assert!(ledger.needs_flush());
    }

    #[test]
    fn after_an_interruption_nothing_is_handed_out() {
        let mut ledger = ledger(Start::list(1..=3));
        ledger.interrupt();
        assert!(matches!(ledger.next(), Next::Nothing));
        assert!(!ledger.has_ids() && !ledger.expects_more_ids());
        let totals = ledger.finish(PipelineArbiter::current());
        assert_eq!(totals.not_attempted, 3);
        assert_adds_up(&totals);
    }

    #[test]
    fn many_settled_ids_of_an_open_stream_leave_nothing_behind_but_the_first_failures() {
        let open = stream::iter(0..200_000).chain(stream::pending());
        let (start, _outcomes) = Start::stream(open).with_outcomes();
        let mut ledger = ledger(start);
        while let Next::Give(id, _) = ledger.next() {
            let row = ledger.number(refused(0, id).answered, Some(id));
            ledger.count_handed_over();
            let mut committed = Committed::nothing(ledger.run);
            if id % 2 == 0 {
                let number = row.number;
                let failure = Failure::new(FailureKind::Status, "HTTP status 404", 1);
                committed.failed.push(FailedRow {
                    number,
                    id,
                    failure,
                });
            } else {
                committed.served.push(ServedRow {
                    number: row.number,
                    is_stored: true,
                });
            }
            ledger.count_committed(committed);
            ledger.outcomes.unsent.clear();
        }
        assert_eq!(ledger.failures.len(), FAILURES_LISTED);
        assert_eq!((ledger.ready.len(), ledger.in_storage), (0, 0));
        assert!(!ledger.kept.has_failures() && ledger.kept.deferred.is_empty());
        assert!(ledger.outcomes.answered.is_empty());
        let totals = ledger.control.recorder.progress();
        assert_eq!((totals.stored, totals.failed), (100_000, 100_000));
    }
}
