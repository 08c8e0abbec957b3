//! The ledger of the run under way: knows where each id of the run is, and counts the ids.

use std::{collections::VecDeque, mem, sync::Arc, time::Duration};

use actix::SpawnHandle;
use log::{info, warn};
use tokio::{sync::oneshot, time::Instant};
use tokio_util::sync::DropGuard;

use super::id_stream::{IdStream, Polled};
use crate::ingest::{
    handle::control::RunControl,
    messages::{Committed, RunId, Save, Start, StartRun},
    outcome::{
        panics::DisplayId,
        progress::Progress,
        report::{FAILURES_LISTED, FailedId, Report},
    },
    source::Id,
    stats::event::Event,
};

/// When this many ids are kept for later, a further id that fails in an outage is settled as failed: memory stays bounded, and a long
/// range of ids that always fail does not hide the ids behind it. Probes need hours to get so far.
const DEFERRED_MAX: usize = 2000;

/// The state of a run. Each of its ids is in one place at a time: unread in the list, `ready`, at a fetcher, `undecided`, `decided`,
/// `deferred`, in Storage, or counted as settled or not attempted.
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
    /// Ids that were read and wait for a fetcher: an id that the list was slow to give, and ids that a dead fetcher held.
    ready: VecDeque<I>,
    /// Failures of the present streak of failed attempts. When the streak ends, it is decided whether the API or the ids are at
    /// fault.
    undecided: Vec<Save<I>>,
    /// Whether that streak is long enough to doubt the API.
    is_streak_long: bool,
    /// Failures whose ids are at fault. They wait for room in the backlog.
    decided: VecDeque<Save<I>>,
    /// Ids that failed because the API was out. They are tried again: as probes, or after all other ids.
    deferred: VecDeque<I>,
    /// Rows that Storage holds and has not committed.
    in_storage: usize,
    /// Whether Storage got the message that no more rows are coming.
    is_flushed: bool,
    /// Whether a cancel or a shutdown stops the run.
    is_interrupted: bool,
    /// Why nothing more can be committed, if that ends the run.
    storage_lost: Option<String>,
    /// How long all attempts had failed, if that ends the run.
    outage: Option<Duration>,
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
    /// Begins a run. `storage_lost` says why nothing can be committed, if that is known already.
    pub(super) fn new(start_run: StartRun<I>, storage_lost: Option<String>) -> Self {
        let StartRun { start, report } = start_run;
        let Start {
            run,
            ids,
            control,
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
            undecided: Vec::new(),
            is_streak_long: false,
            decided: VecDeque::new(),
            deferred: VecDeque::new(),
            in_storage: 0,
            is_flushed: false,
            storage_lost,
            outage: None,
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
        let List::Here(ids) = &mut self.list else {
            // The list may need long for its next id. A deferred id is there now.
            return self.next_deferred();
        };
        match ids.poll_now() {
            Polled::Id(id) => {
                self.count_read();
                Next::Give(id)
            }
            Polled::End => {
                self.list = List::Ended;
                self.next_deferred()
            }
            Polled::Panicked(why) => {
                self.lose_list(why);
                self.next_deferred()
            }
            Polled::Pending => match mem::replace(&mut self.list, List::Awaited(None)) {
                List::Here(ids) => Next::Await(ids),
                _ => Next::Nothing,
            },
        }
    }

    fn next_deferred(&mut self) -> Next<I> {
        self.deferred.pop_front().map_or(Next::Nothing, Next::Give)
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

    /// Takes back ids that waited at a fetcher that died.
    pub(super) fn take_back(&mut self, ids: VecDeque<I>) {
        self.ready.extend(ids);
    }

    /// Whether the list may hold unread ids.
    fn has_unread_ids(&self) -> bool {
        match &self.list {
            List::Here(ids) => self.announced > 0 || ids.remaining().is_none(),
            List::Awaited(_) => true,
            List::Ended => false,
        }
    }

    /// Whether unread ids may still be handed out.
    pub(super) fn expects_more_ids(&self) -> bool {
        self.has_unread_ids() && !self.is_stopping()
    }

    /// Whether one more id can be kept for later.
    pub(super) fn can_defer(&self) -> bool {
        self.deferred.len() < DEFERRED_MAX
    }

    pub(super) fn has_deferred(&self) -> bool {
        !self.deferred.is_empty()
    }

    /// Keeps an id for later that failed while the API seemed to be out.
    pub(super) fn defer(&mut self, id: I) {
        self.deferred.push_back(id);
    }

    /// Keeps a failure until it is known whether the API or the id is at fault. `is_streak_long` says whether enough attempts failed
    /// in a row to doubt the API. The failure gives its room in the backlog back: it may wait for long.
    pub(super) fn keep_undecided(&mut self, failure: Save<I>, is_streak_long: bool) {
        self.is_streak_long |= is_streak_long;
        self.undecided.push(failure.without_permit());
    }

    /// How many failures are undecided.
    pub(super) fn undecided(&self) -> usize {
        self.undecided.len()
    }

    /// Whether the streak of the undecided failures is long enough to doubt the API.
    pub(super) fn is_streak_long(&self) -> bool {
        self.is_streak_long
    }

    /// The API is at fault for the undecided failures. Their ids are tried again.
    pub(super) fn blame_the_api(&mut self) {
        self.is_streak_long = false;
        let ids = self.undecided.drain(..).map(|failure| failure.id);
        self.deferred.extend(ids);
    }

    /// The ids are at fault for the undecided failures. They are committed as failed.
    pub(super) fn blame_the_ids(&mut self) {
        self.is_streak_long = false;
        self.decided.extend(self.undecided.drain(..));
    }

    /// Queues a failure that is passed to Storage as soon as the backlog has room for it.
    pub(super) fn queue_decided(&mut self, failure: Save<I>) {
        self.decided.push_back(failure);
    }

    pub(super) fn has_decided(&self) -> bool {
        !self.decided.is_empty()
    }

    pub(super) fn take_decided(&mut self) -> Option<Save<I>> {
        self.decided.pop_front()
    }

    /// Ends the run because the API was out for too long. Requests in flight are dropped.
    pub(super) fn give_up(&mut self, out_for: Duration) {
        self.outage.get_or_insert(out_for);
        self.control.stop.abort();
    }

    /// Hands out no more ids. Returns the task that waits for the list, which the caller cancels.
    pub(super) fn interrupt(&mut self) -> Option<SpawnHandle> {
        self.is_interrupted = true;
        self.control.stop.stop();
        match mem::replace(&mut self.list, List::Ended) {
            List::Awaited(waiting) => waiting,
            List::Here(_) | List::Ended => None,
        }
    }

    pub(super) fn is_interrupted(&self) -> bool {
        self.is_interrupted
    }

    /// Nothing more can be committed. Rows that are not committed count as not attempted.
    pub(super) fn lose_storage(&mut self, why: String) {
        self.control.stop.abort();
        self.storage_lost.get_or_insert(why);
        let failures = self.undecided.drain(..).count() + self.decided.drain(..).count();
        let lost = failures + mem::take(&mut self.in_storage);
        self.count_not_attempted(lost as u64);
    }

    pub(super) fn has_lost_storage(&self) -> bool {
        self.storage_lost.is_some()
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
        recorder.record(Event::Stored, committed.stored as u64);
        recorder.record(Event::Absent, committed.absent as u64);
        recorder.record(Event::Failed, committed.failed.len() as u64);
        recorder.record(Event::NotAttempted, committed.refused as u64);
        self.in_storage -= committed.rows();
        for (id, failure) in committed.failed {
            info!("{}: failed: {failure}", DisplayId(&id));
            if self.failures.len() < FAILURES_LISTED {
                self.failures.push(FailedId::new(id, failure));
            }
        }
    }

    /// Whether no more ids are handed out, even if there are some.
    fn is_stopping(&self) -> bool {
        self.is_interrupted || self.storage_lost.is_some() || self.outage.is_some()
    }

    /// Whether more rows may come: there are ids to hand out, or failures that are not passed to Storage yet.
    pub(super) fn has_more(&self) -> bool {
        let has_failures = !self.undecided.is_empty() || !self.decided.is_empty();
        let has_ids = !self.ready.is_empty()
            || !self.deferred.is_empty()
            || !matches!(self.list, List::Ended);
        has_failures || (has_ids && !self.is_stopping())
    }

    /// Whether Storage must get the message that no more rows are coming. Returns `true` only once until more rows come.
    pub(super) fn needs_flush(&mut self) -> bool {
        self.in_storage > 0 && !mem::replace(&mut self.is_flushed, true)
    }

    /// Ends the run: counts the ids that were never handed out, and sends the report. Returns the totals.
    pub(super) fn finish(self) -> Progress {
        let kept = self.ready.len() + self.deferred.len();
        self.count_not_attempted(self.announced + kept as u64);
        self.control.recorder.record_run_end();
        let report = Report {
            totals: self.control.recorder.progress(),
            elapsed: self.began.elapsed(),
            interrupted: self.is_interrupted,
            storage_lost: self.storage_lost,
            outage: self.outage,
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
        RunLedger::new(StartRun { start, report }, None)
    }

    /// Hands out ids until there is none at hand.
    fn hand_out(ledger: &mut RunLedger<i64>) -> Vec<i64> {
        let mut ids = Vec::new();
        while let Next::Give(id) = ledger.next() {
            ids.push(id);
        }
        ids
    }

    fn failure(ledger: &RunLedger<i64>, id: i64) -> Save<i64> {
        Save {
            run: ledger.run,
            id,
            answer: Answer::Failed(FailureKind::Connect, "refused".to_owned()),
            attempts: 1,
            received_at: SystemTime::now(),
            control: ledger.control.clone(),
            permit: RowPermit::default(),
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
        assert!(!ledger.has_more());
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
    fn ids_of_a_dead_fetcher_come_first_and_deferred_ones_last() {
        let mut ledger = ledger(Start::list(1..=2));
        ledger.defer(20);
        ledger.take_back(VecDeque::from([10, 11]));
        assert_eq!(hand_out(&mut ledger), [10, 11, 1, 2, 20]);
    }

    #[test]
    fn two_thousand_ids_can_be_kept_for_later() {
        let mut ledger = ledger(Start::list(0..5000));
        (0..2000).for_each(|id| {
            assert!(ledger.can_defer());
            ledger.defer(-1 - id);
        });
        assert!(!ledger.can_defer());
        assert!(matches!(ledger.next(), Next::Give(0)), "new ids come first");
    }

    #[test]
    fn failures_are_the_apis_or_their_ids_as_is_decided() {
        let mut ledger = ledger(Start::list([]));
        assert!(matches!(ledger.next(), Next::Nothing));
        for id in 1..=4 {
            let failure = failure(&ledger, id);
            ledger.keep_undecided(failure, id == 2);
            if id == 2 {
                assert!(ledger.is_streak_long() && ledger.has_more());
                ledger.blame_the_api();
            }
        }
        assert!(!ledger.is_streak_long());
        ledger.blame_the_ids();
        assert_eq!(ledger.undecided(), 0);
        assert_eq!(hand_out(&mut ledger), [1, 2]);
        let decided = std::iter::from_fn(|| ledger.take_decided());
        assert_eq!(decided.map(|save| save.id).collect::<Vec<_>>(), [3, 4]);
        assert!(!ledger.has_more());
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
            stored: 1,
            failed: vec![(2, Failure::new(FailureKind::Status, "404", 1))],
            ..Committed::nothing(ledger.run)
        });
        ledger.take_back(VecDeque::from([3, 4]));
        ledger.defer(5);
        let undecided = failure(&ledger, 6);
        ledger.keep_undecided(undecided, false);
        // Of the ten that were read, four are still at fetchers: they come back without an answer.
        ledger.count_not_attempted(3);
        ledger.lose_storage("the disk is full".to_owned());
        let totals = ledger.finish();
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
        assert!(!ledger.has_more() && !ledger.expects_more_ids());
        let totals = ledger.finish();
        assert_eq!(totals.not_attempted, 3);
        assert_adds_up(&totals);
    }
}
