//! The ledger of the run under way: knows where each id of the run is, and counts the ids.

use std::{collections::VecDeque, mem, sync::Arc};

use actix::SpawnHandle;
use log::{info, warn};
use tokio::{sync::oneshot, time::Instant};
use tokio_util::sync::DropGuard;

use super::{
    id_stream::{IdStream, Polled},
    kept_failures::KeptFailures,
    outcome_log::OutcomeLog,
};
use crate::ingest::{
    actors::arbiter::PipelineArbiter,
    handle::control::RunControl,
    messages::{Committed, FailedRow, NumberedRow, RunId, ServedRow, Start, StartRun},
    outcome::{
        answer::AnsweredId,
        id_outcome::IdOutcome,
        panics::DisplayId,
        progress::Progress,
        report::{FAILURES_LISTED, FailedId, GaveUp, Report},
    },
    source::Id,
    stats::event::Event,
};

/// The state of a run. Each of its ids is in one place at a time: unread in the list, `ready`, at a fetcher, `kept`, in Storage, or
/// counted as settled or not attempted.
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
    list: List<I>,
    /// How many ids the list still has, by its own account. They are already counted as requested. 0 if the list does not know.
    announced: u64,
    /// Ids that were read and wait for a fetcher.
    ready: VecDeque<I>,
    /// Failures that are not passed to Storage yet, and ids that are tried again later.
    pub(super) kept: KeptFailures<I>,
    /// How many ids were answered.
    answers: u64,
    /// Reports to the host what became of each id, if it wants to know.
    pub(super) outcomes: OutcomeLog<I>,
    /// What was left of the list at an interruption.
    unread: Option<IdStream<I>>,
    /// Rows that Storage holds and has not committed.
    in_storage: usize,
    /// Whether Storage got the message that no more rows are coming.
    is_flushed: bool,
    /// Whether a cancel or a shutdown stops the run.
    is_interrupted: bool,
    /// Why the run cannot go on, if that ends it.
    gave_up: Option<GaveUp>,
    /// The panic message of the list, if a panic ended the list.
    list_failed: Option<String>,
    /// The first failures, for the report.
    failures: Vec<FailedId<I>>,
    /// When this is dropped with the ledger, the run's handles learn that the run has ended.
    _ended: DropGuard,
}

/// Where the unread ids are.
enum List<I> {
    /// The ledger holds the list.
    Here(IdStream<I>),
    /// The list waits for its next id, and comes back with it. The handle cancels the wait.
    Awaited(Option<SpawnHandle>),
    /// There are no unread ids.
    Ended,
}

/// What the coordinator does next to hand out an id.
pub(super) enum Next<I> {
    /// Gives this id to a fetcher.
    Give(I),
    /// Waits for the list's next id, and returns the list with [`RunLedger::list_is_back`].
    Await(IdStream<I>),
    /// Nothing: there is no id to hand out now.
    Nothing,
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
        } = start;
        let announced = ids.remaining().unwrap_or(0);
        control.recorder.record(Event::Requested, announced);
        Self {
            run,
            is_interrupted: control.stop.is_stopping(),
            control,
            report,
            began: Instant::now(),
            list: List::Here(ids),
            announced,
            ready: VecDeque::new(),
            kept: KeptFailures::new(max_refusals),
            answers: 0,
            outcomes: OutcomeLog::new(outcomes),
            unread: None,
            in_storage: 0,
            is_flushed: false,
            gave_up: None,
            list_failed: None,
            failures: Vec::new(),
            _ended: ended,
        }
    }

    /// The next id to hand out.
    pub(super) fn next(&mut self) -> Next<I> {
        if self.is_stopping() {
            return Next::Nothing;
        }
        if let Some(id) = self.ready.pop_front() {
            return Next::Give(id);
        }
        match self.read() {
            // The list may need long for its next id. A deferred id is there now.
            Next::Nothing => self.kept.take_deferred().map_or(Next::Nothing, Next::Give),
            next => next,
        }
    }

    /// Reads ids until `waiting_max` of them wait for a fetcher.
    pub(super) fn read_ahead(&mut self, waiting_max: usize) -> Next<I> {
        while self.ready.len() < waiting_max && !self.is_stopping() {
            match self.read() {
                Next::Give(id) => self.ready.push_back(id),
                next => return next,
            }
        }
        Next::Nothing
    }

    /// Reads the next id of the list.
    fn read(&mut self) -> Next<I> {
        let List::Here(ids) = &mut self.list else {
            return Next::Nothing;
        };
        match ids.poll_now() {
            Polled::Id(id) => {
                self.count_read();
                return Next::Give(id);
            }
            Polled::End => self.list = List::Ended,
            Polled::Panicked(why) => self.lose_list(why),
            Polled::Pending => {
                if let List::Here(ids) = mem::replace(&mut self.list, List::Awaited(None)) {
                    return Next::Await(ids);
                }
            }
        }
        Next::Nothing
    }

    /// The task `waiting` waits for the list's next id.
    pub(super) fn await_list(&mut self, waiting: SpawnHandle) {
        self.list = List::Awaited(Some(waiting));
    }

    /// The wait for the list's next id is over.
    pub(super) fn list_is_back(&mut self, ids: IdStream<I>, polled: Polled<I>) {
        match polled {
            Polled::Id(id) => {
                self.count_read();
                self.ready.push_back(id);
                self.list = List::Here(ids);
            }
            Polled::Panicked(why) => self.lose_list(why),
            Polled::End | Polled::Pending => self.list = List::Ended,
        }
    }

    /// The list panicked. The ids that it still holds are not attempted.
    fn lose_list(&mut self, why: String) {
        warn!("the list of ids panicked: {why}; the ids that it still holds are not attempted");
        self.list_failed = Some(why);
        self.list = List::Ended;
    }

    /// Counts an id as requested, unless it was counted when the run began.
    fn count_read(&mut self) {
        if self.announced > 0 {
            self.announced -= 1;
        } else {
            self.control.recorder.record(Event::Requested, 1);
        }
    }

    /// How many ids were read and wait for a fetcher.
    pub(super) fn waiting(&self) -> usize {
        self.ready.len()
    }

    /// Whether the list may hold unread ids.
    fn has_unread_ids(&self) -> bool {
        match &self.list {
            List::Here(ids) => self.announced > 0 || ids.remaining().is_none(),
            List::Awaited(_) => true,
            List::Ended => false,
        }
    }

    /// Whether ids of the list may still be handed out.
    pub(super) fn expects_more_ids(&self) -> bool {
        (self.has_unread_ids() || !self.ready.is_empty()) && !self.is_stopping()
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
        self.kept.defer(row.answered.id);
    }

    /// The API is at fault for the failures without a usable answer. Their ids are tried again.
    pub(super) fn blame_outage(&mut self) {
        for number in self.kept.blame_outage() {
            self.outcomes.forget(number);
        }
    }

    /// The run ends without an answer for an id that was handed out.
    pub(super) fn count_unanswered(&mut self, copy: Option<I>) {
        self.count_not_attempted(1);
        if let Some(id) = copy {
            self.outcomes.report(id, IdOutcome::NotAttempted);
        }
    }

    /// Ends the run because it cannot go on. Requests in flight are dropped. The first reason goes into the report.
    pub(super) fn give_up(&mut self, why: GaveUp) {
        self.control.stop.abort();
        let mut not_attempted = self.kept.drop_undecided();
        if let GaveUp::StorageLost(_) = why {
            not_attempted += self.kept.drop_decided() + mem::take(&mut self.in_storage);
        }
        self.count_not_attempted(not_attempted as u64);
        self.gave_up.get_or_insert(why);
    }

    /// Ends the run because the API refuses every id.
    pub(super) fn give_up_refused(&mut self) {
        if let (ids, Some(last_failure)) = self.kept.refusals() {
            self.give_up(GaveUp::ApiRefuses { ids, last_failure });
        }
    }

    /// Whether the run has ended early because it could not go on.
    pub(super) fn has_given_up(&self) -> bool {
        self.gave_up.is_some()
    }

    /// Hands out no more ids. Returns the task that waits for the list, which the caller cancels.
    pub(super) fn interrupt(&mut self) -> Option<SpawnHandle> {
        self.is_interrupted = true;
        self.control.stop.stop();
        self.stop_awaiting_list()
    }

    /// Reads no more ids. Returns the task that waits for the list, which the caller cancels.
    pub(super) fn stop_awaiting_list(&mut self) -> Option<SpawnHandle> {
        match mem::replace(&mut self.list, List::Ended) {
            List::Awaited(waiting) => return waiting,
            List::Here(ids) => self.unread = Some(ids),
            List::Ended => {}
        }
        None
    }

    pub(super) fn is_interrupted(&self) -> bool {
        self.is_interrupted
    }

    pub(super) fn has_lost_storage(&self) -> bool {
        matches!(self.gave_up, Some(GaveUp::StorageLost(_)))
    }

    /// Rows that Storage holds and has not committed.
    pub(super) fn in_storage(&self) -> usize {
        self.in_storage
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
        let served = committed.served.len();
        let stored = committed.served.iter().filter(|row| row.is_stored).count();
        recorder.record(Event::Stored, stored as u64);
        recorder.record(Event::Record, committed.records);
        recorder.record(Event::Absent, (served - stored) as u64);
        recorder.record(Event::Failed, committed.failed.len() as u64);
        recorder.record(Event::NotAttempted, committed.not_attempted as u64);
        // After the loss of Storage, nothing is counted as in it any more.
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
        for row in committed.failed {
            let FailedRow {
                number,
                id,
                failure,
            } = row;
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
        self.has_ids() && !matches!(self.list, List::Awaited(_))
    }

    /// Whether no more ids are handed out, even if there are some.
    fn is_stopping(&self) -> bool {
        self.is_interrupted || self.has_given_up()
    }

    /// Whether there are ids to hand out.
    pub(super) fn has_ids(&self) -> bool {
        let has_ids =
            !self.ready.is_empty() || self.kept.deferred() > 0 || !matches!(self.list, List::Ended);
        has_ids && !self.is_stopping()
    }

    /// Whether Storage must get the message that no more rows are coming. Returns `true` only once until more rows come.
    pub(super) fn needs_flush(&mut self) -> bool {
        self.in_storage > 0 && !mem::replace(&mut self.is_flushed, true)
    }

    /// Ends the run: counts the ids that were never handed out, and sends the report. Returns the totals.
    /// `arbiter` lives until the host has read what became of all ids.
    pub(super) fn finish(mut self, arbiter: PipelineArbiter) -> Progress {
        let kept = self.ready.len() + self.kept.deferred();
        self.count_not_attempted(self.announced + kept as u64);
        let deferred = std::iter::from_fn(|| self.kept.take_deferred());
        for id in self.ready.drain(..).chain(deferred) {
            self.outcomes.report(id, IdOutcome::NotAttempted);
        }
        if let List::Here(ids) = self.list {
            self.unread = Some(ids);
        }
        // A list that does not know its length may be endless. Its unread ids do not belong to the run.
        let unread = self.unread.filter(|_| self.announced > 0);
        self.outcomes.finish(unread, arbiter);
        self.control.recorder.record_run_end();
        let report = Report {
            totals: self.control.recorder.progress(),
            elapsed: self.began.elapsed(),
            interrupted: self.is_interrupted,
            gave_up: self.gave_up,
            list_failed: self.list_failed,
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
    use std::{task::Poll, time::SystemTime};

    use futures_util::stream;

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
        while let Next::Give(id) = ledger.next() {
            ids.push(id);
        }
        ids
    }

    fn refused(number: u64, id: i64) -> NumberedRow<i64> {
        NumberedRow {
            number,
            answered: AnsweredId {
                id,
                answer: Answer::panicked("refused".to_owned()),
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
    fn a_list_that_knows_its_length_is_counted_at_once_and_only_once() {
        let mut ledger = ledger(Start::list(1..=3));
        assert_eq!(ledger.control.recorder.progress().requested, 3);
        assert_eq!(hand_out(&mut ledger), [1, 2, 3]);
        assert!(!ledger.has_ids());
        assert_eq!(ledger.control.recorder.progress().requested, 3);
    }

    #[test]
    fn a_list_without_a_known_length_is_counted_as_it_is_read() {
        let mut rest = 2;
        let ids = stream::poll_fn(move |_| {
            rest -= 1;
            Poll::Ready((rest >= 0).then_some(rest))
        });
        let mut ledger = ledger(Start::stream(ids));
        assert_eq!(ledger.control.recorder.progress().requested, 0);
        assert_eq!(hand_out(&mut ledger), [1, 0]);
        assert_eq!(ledger.control.recorder.progress().requested, 2);
    }

    #[test]
    fn ids_that_were_read_ahead_come_first_and_deferred_ones_last() {
        let mut ledger = ledger(Start::list(1..=5));
        ledger.kept.defer(20);
        assert!(matches!(ledger.read_ahead(2), Next::Nothing));
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
        assert!(matches!(ledger.read_ahead(2), Next::Nothing));
        ledger.kept.defer(5);
        ledger.keep_refused(refused(4, 6));
        // Of the ten that were handed out, five are still at fetchers. They come back without an answer.
        ledger.count_not_attempted(5);
        ledger.give_up(GaveUp::StorageLost("the disk is full".to_owned()));
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
}
